import json
import time

import pytest
import torch

from automoe.errors import TrainingError
from automoe.nn.model_folder import read_model
from automoe.training.log import TrainingLog, read_log
from automoe.training.train import TrainingJob, train
from tests.training.job import kill_when, start, tiny_job


def test_training_dies_with_its_parent(data, tmp_path):
    process = start(tiny_job(data, max_updates=100_000), tmp_path)
    kill_when("checkpoints/*.pt", process, tmp_path)
    log = tmp_path / "training.jsonl"

    def still_writes():
        before = log.read_bytes()
        time.sleep(1.0)  # some twenty updates and two validations of a live training
        return log.read_bytes() != before

    assert not all(still_writes() for _ in range(20))


def test_training_improves_and_keeps_the_best_validation(undisturbed):
    valid = {record["update"]: record["nll_loss"] for record in read_log(undisturbed) if record["kind"] == "valid"}
    info = json.loads((undisturbed / "model.json").read_text())
    assert list(valid) == [10, 20, 30]
    assert info["valid_nll"] == min(valid.values()) == valid[info["update"]] < valid[10]
    checkpoint = undisturbed / "checkpoints" / f"checkpoint_{info['update']:08d}.pt"
    weights = torch.load(checkpoint, weights_only=True)["model"]
    for name, weight in read_model(undisturbed).state_dict().items():
        assert torch.equal(weight, weights[f"transformer.{name}"])


def test_another_seed_gives_another_model(data, undisturbed, tmp_path):
    job = tiny_job(data, max_updates=10)
    train(TrainingJob(**{**vars(job), "seed": 8}), tmp_path)
    first, other = (next(r for r in read_log(f) if r["kind"] == "valid") for f in (tmp_path, undisturbed))
    assert first["update"] == other["update"] and first["nll_loss"] != other["nll_loss"]


def test_diverged_training_says_where_and_what_to_do(data, tmp_path):
    with pytest.raises(TrainingError, match=r"update \d+: .*coder layer 0 .*(nan|inf).*, digest \w+\. Lower the"):
        train(tiny_job(data, lr=1e30, warmup_updates=1, clip_norm=0.0), tmp_path)


def test_diverged_validation_is_never_saved_as_the_best(data, tmp_path):
    # The second step has the full rate and ruins the weights: what looks at them next is the validation.
    with pytest.raises(TrainingError, match=r"update 2: the validation loss is (nan|inf)"):
        train(tiny_job(data, lr=1e30, warmup_updates=1, clip_norm=0.0, max_updates=2, validate_every=2), tmp_path)
    assert not list(tmp_path.glob("checkpoints/*.pt"))


def test_file_of_the_user_never_stands_in_for_a_module(data, tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise RuntimeError('the wrong file')")
    monkeypatch.chdir(tmp_path)
    train(tiny_job(data, max_updates=1, validate_every=1), tmp_path / "out")
    assert (tmp_path / "out" / "model.json").exists()


@pytest.mark.parametrize("quiet", [False, True])
def test_only_of_a_training_that_shows_what_it_says_it_stands_above(quiet, data, tmp_path, monkeypatch):
    monkeypatch.setattr("automoe.training.train.launch", lambda *_, **__: (0, 1))
    with pytest.raises(TrainingError, match="failed with status 1") as raised:
        train(tiny_job(data), tmp_path, quiet=quiet)
    assert ("stands above and in this file" in str(raised.value)) != quiet
    assert "in this file; the same command goes on" in str(raised.value)


def test_resumed_log_drops_what_its_checkpoint_does_not_know(tmp_path):
    log = TrainingLog(tmp_path, resumed_at=None)
    for update in (10, 20, 30):
        log.write("valid", update, nll_loss=1.0)
    with (tmp_path / "training.jsonl").open("a") as stream:
        stream.write('{"kind": "valid", "upd')  # a kill tore the line
    TrainingLog(tmp_path, resumed_at=20)
    assert [record["update"] for record in read_log(tmp_path)] == [10, 20]
    TrainingLog(tmp_path, resumed_at=None)
    assert read_log(tmp_path) == []
