"""The commands of fairseq itself, with our plug-in."""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from automoe.cli import fairseq_plugin_folder
from automoe.data import PreparedData
from automoe.decoding import SearchConfig, search
from automoe.distill import DistillConfig
from automoe.nn import TorchStepper
from automoe.nn.model_folder import read_model
from automoe.space import (
    Architecture,
    SearchSpace,
    find_architecture,
    find_space,
    read_architecture,
    read_space,
)
from automoe.supernet import SupernetConfig
from automoe.training.config import TrainingConfig
from automoe.training.registration import AutoMoECrossEntropy, AutoMoEDistillation, AutoMoESupernet
from automoe.training.train import DistillObjective, PlainObjective, SupernetObjective, train
from tests.spaces import small_space
from tests.training.job import tiny_job


def fairseq(command: str, *arguments: object) -> str:
    program = str(Path(sys.executable).with_name(f"fairseq-{command}"))
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fairseq_train_trains_our_architecture(data, tmp_path):
    fairseq(
        *("train", data, "--user-dir", fairseq_plugin_folder(), "--task", "automoe_translation"),
        *("--arch", "automoe_transformer", "--architecture", find_architecture("tiny")),
        *("--criterion", "automoe_cross_entropy", "--optimizer", "adam", "--lr", 0.001, "--max-tokens", 512),
        *("--max-update", 4, "--save-dir", tmp_path, "--cpu", "--no-last-checkpoints"),
    )
    assert list(tmp_path.glob("checkpoint*.pt"))


def test_fairseq_train_trains_a_supernet_and_distils_from_a_model(data, undisturbed, tmp_path):
    common = [
        *(data, "--user-dir", fairseq_plugin_folder(), "--task", "automoe_translation", "--optimizer", "adam"),
        *("--arch", "automoe_transformer", "--max-tokens", 512, "--max-update", 2, "--cpu", "--no-last-checkpoints"),
    ]
    printed = fairseq(
        *("train", *common, "--architecture", "space:quickstart", "--save-dir", tmp_path / "supernet"),
        *("--criterion", "automoe_supernet", "--space", "quickstart", "--seed", 3),
    )
    assert "panel:smallest" in printed
    fairseq(
        *("train", *common, "--architecture", find_architecture("tiny"), "--save-dir", tmp_path / "student"),
        *("--criterion", "automoe_distillation", "--teacher", undisturbed),
    )
    space = read_space(find_space("quickstart"))
    model, criterion = arguments_in(tmp_path / "supernet")
    assert Architecture.from_dict(json.loads(model["architecture"])) == space.largest()
    assert SearchSpace.from_dict(json.loads(criterion["space"])) == space
    model, _ = arguments_in(tmp_path / "student")
    assert Architecture.from_dict(json.loads(model["architecture"])) == read_architecture(find_architecture("tiny"))


@pytest.mark.parametrize(("criterion", "objective"), [
    (AutoMoECrossEntropy, PlainObjective()),
    (AutoMoESupernet, SupernetObjective(space=small_space(), config=SupernetConfig())),
    (AutoMoEDistillation, DistillObjective(teachers=(Path("teacher"),), config=DistillConfig())),
])  # fmt: skip
def test_our_settings_and_the_arguments_of_fairseq_have_the_same_defaults(criterion, objective):
    parser = argparse.ArgumentParser()
    criterion.add_args(parser)
    given = iter(objective.flags()[2:])
    ours = parser.parse_args([text for flag, value in zip(given, given, strict=True) for text in (flag, value)])
    theirs = vars(parser.parse_args([])) | {key: getattr(ours, key) for key in ("space", "teacher") if key in ours}
    assert vars(ours) == theirs
    for name in ("label_smoothing", "balance_loss", "router_z_loss"):
        assert theirs[name] == getattr(TrainingConfig(), name)


def arguments_in(folder: Path) -> tuple[dict, dict]:
    """The arguments of model and criterion that fairseq keeps in its checkpoint."""
    state = torch.load(next(folder.glob("checkpoint*.pt")), weights_only=False)
    return state["cfg"]["model"], state["cfg"]["criterion"]


def test_fairseq_generate_finds_the_translations_of_our_search(data, tmp_path):
    train(tiny_job(data, max_updates=150, validate_every=150, lr=0.005), tmp_path)
    printed = fairseq(
        *("generate", data, "--user-dir", fairseq_plugin_folder(), "--task", "automoe_translation"),
        *("--path", next((tmp_path / "checkpoints").glob("*.pt")), "--gen-subset", "test", "--cpu"),
        *("--beam", 3, "--max-len-a", 2, "--max-len-b", 10),
        *("--batch-size", 1),  # fairseq's longest length follows from the longest source of a batch
    )
    theirs = {int(i): text.split() for i, text in re.findall(r"^H-(\d+)\t[^\t]+\t(.*)$", printed, re.MULTILINE)}
    prepared = PreparedData.open(data)
    pieces = prepared.segmenter.pieces()
    stepper = TorchStepper(read_model(tmp_path))
    assert len(theirs) == len(prepared.ids("test", "src"))
    for index, source in enumerate(prepared.ids("test", "src")):
        ours = search(stepper, [source], SearchConfig(beam=3))[0][0]
        assert [pieces[token] for token in ours.tokens[:-1]] == theirs[index]
