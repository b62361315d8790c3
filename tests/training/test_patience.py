"""Trainings that stop early."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from automoe.training import loop
from automoe.training.checkpoints import Best
from automoe.training.distributed import Place
from automoe.training.log import read_log
from automoe.training.loop import _Training, run
from tests.training.job import tiny_job


@pytest.mark.parametrize(("patience", "update", "best", "over"), [
    (0, 90, 10, False),
    (0, 100, 10, True),
    (2, 30, 20, False),
    (2, 40, 20, True),
    (2, 40, 30, False),
    (2, 10, 0, False),
    (2, 20, 0, True),
])  # fmt: skip
def test_it_counts_the_validations_since_the_best(patience, update, best, over):
    settings = SimpleNamespace(max_updates=100, validate_every=10, patience=patience)
    trainer = SimpleNamespace(get_num_updates=lambda: update)
    assert _Training(settings, trainer, None, None, None, Best(best, 1.0)).is_over() == over


@pytest.fixture(scope="module")
def worsening(data, undisturbed):
    """From trained weights, at a rate that ruins them: the first validation is the best. And three to average."""
    job = tiny_job(data, max_updates=100, validate_every=2, lr=1.0, warmup_updates=1, patience=2, average=5)
    return replace(job, initial=undisturbed)


def stopped_in(folder, job):
    folder.mkdir()
    run(job, folder, Place())
    return folder


@pytest.fixture(scope="module")
def stopped(worsening, tmp_path_factory):
    return stopped_in(tmp_path_factory.mktemp("stopped") / "whole", worsening)


def test_it_stops_and_keeps_the_best(stopped, undisturbed):
    records, info = read_log(stopped), json.loads((stopped / "model.json").read_text())
    assert [(r["kind"], r["update"]) for r in records] == [("valid", 0), ("valid", 2), ("valid", 4), ("average", 4)]
    assert records[-1]["averaged"] == [2, 4]  # the initial weights are none of those to average
    assert info["update"] == 0 and "averaged" not in info
    assert info["weights_sha256"] == info["initial_sha256"]
    assert info["weights_sha256"] == json.loads((undisturbed / "model.json").read_text())["weights_sha256"]


class Killed(Exception):
    pass


def assert_ends_alike(job, folder, stopped, capsys):
    run(job, folder, Place())
    for name in ("model.safetensors", "model.json", "training.jsonl"):
        assert (folder / name).read_bytes() == (stopped / name).read_bytes(), name
    said = "training: stopped at update 4 of 100: 2 validations in a row (the patience) had no lower loss than the "
    assert said in capsys.readouterr().err


def test_a_killed_one_counts_on_and_stops_at_the_same_update(worsening, stopped, tmp_path, monkeypatch, capsys):
    def killed_after_two(trainer, *given):
        if trainer.get_num_updates() == 2:
            raise Killed
        return train_step(trainer, *given)

    train_step, killed = loop._train_step, tmp_path / "killed"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "_train_step", killed_after_two)
        stopped_in(killed, worsening)
    assert_ends_alike(worsening, killed, stopped, capsys)


def test_one_that_had_stopped_and_was_killed_does_not_go_on(worsening, stopped, tmp_path, monkeypatch, capsys):
    killed = tmp_path / "killed"
    shutil.copytree(stopped, killed)
    for name in ("model.safetensors", "model.json"):
        (killed / name).unlink()
    monkeypatch.setattr(loop, "_train_step", None)  # a further step would fail
    assert_ends_alike(worsening, killed, stopped, capsys)
