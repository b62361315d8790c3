"""The commands of fairseq itself, with our plug-in."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from automoe.cli import fairseq_plugin_folder
from automoe.data import PreparedData
from automoe.decoding import SearchConfig, search
from automoe.nn import TorchStepper
from automoe.nn.model_folder import read_model
from automoe.space import find_architecture
from automoe.training.train import train
from tests.training.job import prepared_corpus, tiny_job


def fairseq(command: str, *arguments: object) -> str:
    program = str(Path(sys.executable).with_name(f"fairseq-{command}"))
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared_corpus(tmp_path_factory.mktemp("data"))


def test_fairseq_train_trains_our_architecture(data, tmp_path):
    fairseq(
        *("train", data, "--user-dir", fairseq_plugin_folder(), "--task", "automoe_translation"),
        *("--arch", "automoe_transformer", "--architecture", find_architecture("tiny")),
        *("--criterion", "automoe_cross_entropy", "--optimizer", "adam", "--lr", 0.001, "--max-tokens", 512),
        *("--max-update", 4, "--save-dir", tmp_path, "--cpu", "--no-last-checkpoints"),
    )
    assert list(tmp_path.glob("checkpoint*.pt"))


def test_fairseq_generate_finds_the_translations_of_our_search(data, tmp_path):
    train(tiny_job(data, max_updates=150, validate_every=150, lr=0.005), tmp_path)
    printed = fairseq(
        *("generate", data, "--user-dir", fairseq_plugin_folder(), "--task", "automoe_translation"),
        *("--path", next((tmp_path / "checkpoints").glob("*.pt")), "--gen-subset", "test", "--cpu"),
        *("--beam", 3, "--max-len-a", 2, "--max-len-b", 10, "--batch-size", 8),
    )
    theirs = {int(i): text.split() for i, text in re.findall(r"^H-(\d+)\t[^\t]+\t(.*)$", printed, re.MULTILINE)}
    prepared = PreparedData.open(data)
    pieces = prepared.segmenter.pieces()
    stepper = TorchStepper(read_model(tmp_path))
    assert len(theirs) == len(prepared.ids("test", "src"))
    for index, source in enumerate(prepared.ids("test", "src")):
        ours = search(stepper, [source], SearchConfig(beam=3))[0][0]
        assert [pieces[token] for token in ours.tokens[:-1]] == theirs[index]
