"""The chosen sub-transformer or a given one learns from a teacher: where it begins, and what is said of both."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("fairseq")

import torch

from automoe.cli import main
from automoe.nn.model_folder import read_model
from automoe.pipeline.config import DistillSection
from automoe.pipeline.distill import warn_of_teacher
from automoe.space import Architecture
from automoe.space.files.architecture_file import read_architecture


def dense_twin(arch: Architecture) -> Architecture:
    """The same with one expert a layer."""

    def side(part):
        layers = [replace(layer, expert_widths=layer.expert_widths[:1], top_k=1) for layer in part.layers]
        return replace(part, layers=tuple(layers))

    return replace(arch, encoder=side(arch.encoder), decoder=side(arch.decoder))


@pytest.fixture(scope="module")
def student(tiny_run, tmp_path_factory):
    """A dense model taught by the tiny run's supernet, from whose weights it began: the folder of its run."""
    runs_dir = tmp_path_factory.mktemp("student")
    teacher = tiny_run.run_dir / "supernet/current"
    twin = dense_twin(read_model(teacher).maximum)
    (runs_dir / "twin.json").write_text(json.dumps(twin.to_dict()))
    assert read_architecture(runs_dir / "twin.json") == twin
    settings = (f"architecture={runs_dir / 'twin.json'}", f"teacher.models=[{teacher}]", "distill=switch")
    short = ("distill.training.max_updates=1", "distill.training.validate_every=1", "distill.initial=teacher")
    assert main(tiny_run.arguments("run", *settings, *short, runs_dir=runs_dir)) == 0
    return runs_dir / "tiny"


def test_a_given_architecture_begins_with_all_of_the_teacher_but_experts_and_routers(student, tiny_run):
    begun = read_model(student / "distill/current/from_teacher")
    teacher = read_model(student / "teacher/current/member_0")
    same, fresh = set(), set()
    theirs = teacher.state_dict()
    for name, weight in begun.state_dict().items():
        equal = name in theirs and theirs[name].shape == weight.shape and torch.equal(theirs[name], weight)
        (same if equal else fresh).add(name)
    assert any("attention" in name for name in same)
    assert fresh and all("expert" in name for name in fresh)
    assert not any("router" in name for name in begun.state_dict())


def test_it_becomes_a_bundle_that_is_scored_without_any_supernet(student):
    assert {path.name for path in student.iterdir() if path.is_dir()} == {
        *("data", "teacher", "distill", "export", "evaluate")
    }
    scores = json.loads((student / "evaluate/current/scores.json").read_bytes())
    assert "model" in scores["systems"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["architecture=tiny"], "Models that teach it are named with teacher.models"),
        (["architecture=tiny", "teacher.models=[x]"], "there is no supernet to inherit from"),
        (["architecture=tiny", "teacher.models=[nobody]"], "teacher.models: there is no such model"),
        (["teacher.models=[x]", "teacher.train=true"], "teacher.train=True"),
        (["distill.targets=mine"], "references, teacher, both"),
    ],
)
def test_what_cannot_be_learnt_is_refused_before_anything_runs(tiny_run, tmp_path, capsys, settings, message):
    settings = [setting.replace("[x]", f"[{tiny_run.bundle}]") for setting in settings]
    assert main(tiny_run.arguments("distill", *settings, runs_dir=tmp_path / "runs")) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("settings", "teacher_nll", "student_nll", "warns"),
    [
        ({}, 3.0, 2.5, True),
        ({}, 2.5, 3.0, False),
        ({"share": 0.0}, 3.0, 2.5, False),
        ({"share": 0.0, "targets": "teacher"}, 3.0, 2.5, True),
    ],
)
def test_a_teacher_that_is_worse_than_its_student_is_warned_of_with_both_losses(
    settings, teacher_nll, student_nll, warns, capsys
):
    assert warn_of_teacher(teacher_nll, student_nll, "begins", DistillSection(**settings)) == warns
    said = capsys.readouterr().err
    assert bool(said) == warns
    if warns:
        assert "student begins better" in said and "2.5000" in said and "3.0000" in said
