"""The mean of checkpoints, and trainings that end with it."""

import json
import shutil
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.errors import ConfigError
from automoe.supernet import SupernetConfig
from automoe.training.averaging import mean_weights
from automoe.training.config import TrainingConfig
from automoe.training.distributed import Place
from automoe.training.log import read_log
from automoe.training.loop import run
from automoe.training.train import SupernetObjective
from tests.spaces import small_space
from tests.training.job import tiny_job


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20))
def test_the_mean_is_rounded_once(values):
    [mean] = mean_weights({"w": torch.tensor([value])} for value in values)["w"]
    exact = torch.tensor(values, dtype=torch.float64).sum() / len(values)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean, exact.float(), atol=1e-7, rtol=2**-23)


def test_the_mean_keeps_what_float32_would_lose():
    members = [{"w": torch.tensor(value)} for value in (1e8, 1.0, -1e8)]
    assert mean_weights(members)["w"] == torch.tensor(1 / 3)


@pytest.mark.parametrize("members", [[], [{"w": torch.zeros(1)}, {"v": torch.zeros(1)}]])
def test_nothing_and_different_models_have_no_mean(members):
    with pytest.raises(ValueError, match=r"no checkpoint|different models"):
        mean_weights(members)


@pytest.mark.parametrize(("key", "value"), [("average", 0), ("patience", -1)])
def test_numbers_that_mean_nothing_are_refused(key, value):
    with pytest.raises(ConfigError, match=rf"training\.{key}={value}: is not allowed \(allowed: >= "):
        TrainingConfig(**{key: value})


def job_of(data, precision="float32", **training):
    """Four updates at a rate that makes them stagger: their mean is much better than the last of them."""
    parts = {"max_updates": 4, "validate_every": 1, "warmup_updates": 1, "lr": 0.2, "lr_decay": "inverse_sqrt"}
    return tiny_job(data, precision=precision, **parts | {"average": 3, "max_tokens": 256} | training)


def trained(job, folder):
    folder.mkdir()
    run(job, folder, Place())
    return folder


def mean_of(folder, updates):
    files = [folder / "checkpoints" / f"checkpoint_{update:08d}.pt" for update in updates]
    weights = [torch.load(file, weights_only=True)["model"] for file in files]
    return {name: torch.stack([w[name].double() for w in weights]).mean(0).float() for name in weights[0]}


def validations(folder):
    """The loss of each checkpoint, and the record of the average."""
    records = read_log(folder)
    [average] = [record for record in records if record["kind"] == "average"]
    return {record["update"]: record["nll_loss"] for record in records if record["kind"] == "valid"}, average


@pytest.fixture(scope="module")
def averaged(data, tmp_path_factory):
    """A finished training whose average is better than all its checkpoints."""
    return trained(job_of(data), tmp_path_factory.mktemp("averaged") / "whole")


def assert_is_the_mean(folder):
    losses, average = validations(folder)
    info = json.loads((folder / "model.json").read_text())
    assert info["averaged"] == average["averaged"] == [2, 3, 4] and info["update"] == average["update"] == 4
    assert info["valid_nll"] == average["nll_loss"] < min(losses.values())
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    for name, mean in mean_of(folder, [2, 3, 4]).items():
        torch.testing.assert_close(weights[name.removeprefix("transformer.")], mean, atol=1e-7, rtol=1e-6)


def test_the_result_is_the_mean_of_the_last_checkpoints_where_it_is_better(averaged):
    assert_is_the_mean(averaged)


def test_in_half_precision_it_is_the_mean_of_the_master_weights(data, tmp_path):
    assert_is_the_mean(trained(job_of(data, "bfloat16"), tmp_path / "bfloat16"))


def test_a_training_that_was_killed_at_its_end_ends_with_the_same_bits(data, averaged, tmp_path):
    killed = tmp_path / "killed"  # after the average was validated: its record must not stand twice
    shutil.copytree(averaged, killed)
    for name in ("model.safetensors", "model.json"):
        (killed / name).unlink()
    run(job_of(data), killed, Place())
    for name in ("model.safetensors", "model.json", "training.jsonl"):
        assert (killed / name).read_bytes() == (averaged / name).read_bytes(), name


def test_the_best_checkpoint_is_the_result_where_the_mean_is_worse(data, tmp_path):
    # In the first updates at a low rate each is far better than the ones before. There are fewer than asked for.
    folder = trained(job_of(data, max_updates=3, lr=0.003, warmup_updates=3, average=9), tmp_path / "rising")
    _, average = validations(folder)
    info = json.loads((folder / "model.json").read_text())
    assert average["averaged"] == [1, 2, 3] and average["nll_loss"] > info["valid_nll"]
    assert info["update"] == 3 and "averaged" not in info
    last = torch.load(folder / "checkpoints" / "checkpoint_00000003.pt", weights_only=True)["model"]
    for name, weight in safetensors.torch.load_file(folder / "model.safetensors").items():
        assert torch.equal(weight, last[f"transformer.{name}"])


def test_a_supernet_is_averaged_by_the_mean_over_its_panel(data, tmp_path):
    space = small_space()
    objective = SupernetObjective(space=space, config=SupernetConfig(panel=1))
    job = replace(job_of(data, max_updates=2), architecture=space.largest(), objective=objective)
    _, average = validations(trained(job, tmp_path / "supernet"))
    assert average["averaged"] == [1, 2] and len(average["panel"]) >= 2
    assert average["nll_loss"] == pytest.approx(sum(average["panel"].values()) / len(average["panel"]), rel=1e-5)
