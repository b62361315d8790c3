"""Trainings from scratch: what they depend on, and what is said where they cannot be made."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from automoe.data import DataConfig
from automoe.errors import ConfigError, TrainingError
from automoe.pipeline import scratch
from automoe.pipeline.config import ModelConfig, RunConfig, ScratchSection, SupernetSection
from automoe.pipeline.execute import execute
from automoe.pipeline.run import FIDELITY_STAGES
from automoe.pipeline.section import training_of
from automoe.pipeline.stage import Inputs, plan
from automoe.training.config import TrainingConfig
from tests.conftest import CORPUS

FEW = """
name: few
encoder: {dim: 16, layers: 1, layer: {heads: 2, expert_width: {choice: [16, 32]}}}
decoder: {dim: 16, layers: {choice: [1, 2]}, layer: {heads: 2, expert_width: 16}}
"""
CONFIG = RunConfig(
    space="tiny",
    data=DataConfig(corpus="text", train_source=str(CORPUS / "train.en"), train_target=str(CORPUS / "train.de")),
)


def hash_of(config: RunConfig) -> str:
    return {step.stage.name: step.identity.hash for step in plan(FIDELITY_STAGES, config, "fidelity")}["scratch"]


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 2},
        {"supernet": SupernetSection(rule="single_path", distillation=0.0)},
        {"training": TrainingConfig(max_updates=7)},
        {"scratch": ScratchSection(workers=3)},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_supernets_of_other_settings_are_judged_by_the_same_trainings(settings):
    assert hash_of(replace(CONFIG, **settings)) == hash_of(CONFIG)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": ModelConfig(dropout=0.3)},
        {"space": "quickstart"},
        {"scratch": ScratchSection(training=TrainingConfig(max_updates=7))},
        {"scratch": ScratchSection(draw=2)},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_other_models_are_not_judged_by_them(settings):
    assert hash_of(replace(CONFIG, **settings)) != hash_of(CONFIG)


def test_a_panel_larger_than_the_space_is_refused_before_anything_is_made(tmp_path):
    (tmp_path / "few.yaml").write_text(FEW)
    config = replace(
        CONFIG,
        runs_dir=str(tmp_path / "runs"),
        space=str(tmp_path / "few.yaml"),
        scratch=ScratchSection(architectures=5, at_one_depth=3),
    )
    with pytest.raises(ConfigError, match=r"scratch\.architectures=5: asks for 3 architectures with 2 decoder"):
        execute(FIDELITY_STAGES, config, "fidelity")
    assert not (tmp_path / "runs").exists()


PROBLEMS = {
    "too few GPUs": lambda: ConfigError("training.processes", 9, "is more than the 2 GPUs of this machine"),
    "no memory": lambda: TrainingError("a batch does not fit", key="training.max_tokens", value=4096),
}


def scratch_fails_with(error, out, monkeypatch):
    """The stage, where every training raises `error`."""

    def train(*_given, **_options):
        raise error

    monkeypatch.setattr(scratch, "train", train)
    summary = SimpleNamespace(summary=SimpleNamespace(vocab_size=200))
    monkeypatch.setattr(scratch.PreparedData, "open", lambda _folder: summary)
    part = scratch.SCRATCH.part(replace(CONFIG, scratch=ScratchSection(architectures=4, at_one_depth=2)))
    with pytest.raises(type(error)) as raised:
        scratch.SCRATCH.run(part, Inputs(folders={"data": out}, maybe_seed=None), out)
    return raised.value


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_a_training_that_fails_names_the_key_of_its_own_section(problem, tmp_path, monkeypatch):
    plain = problem()
    error = scratch_fails_with(problem(), tmp_path, monkeypatch)
    assert error.key == f"scratch.{plain.key}"
    assert f"scratch.{plain.key}={plain.value}: " in str(error) and str(error) == error.args[0]


def test_a_training_that_fails_is_told_by_architecture_and_seed(tmp_path, monkeypatch):
    error = scratch_fails_with(TrainingError("the loss is NaN"), tmp_path, monkeypatch)
    assert re.fullmatch(r"architecture [0-9a-f]+, seed 1: the loss is NaN", str(error))


@pytest.mark.parametrize(
    "text", ["training.lr", "architecture", "distill.training.lr", "training.log", "-m automoe.training.worker"]
)
def test_only_keys_of_trainings_get_the_name_of_the_section(text):
    with pytest.raises(TrainingError) as raised, training_of("distill"):
        raise TrainingError(f"{text}: is wrong", key=text, hint=f"Lower {text} or {text}, see {text}")
    told = "distill.training.lr" if text == "training.lr" else text
    assert (
        str(raised.value) == f"{told}: {told}: is wrong. Lower {told} or {told}, see {told}" == raised.value.args[0]
    )
