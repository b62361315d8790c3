"""Training in several processes: the same as one with as many batches per step, and they end together."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fairseq.trainer import Trainer

from automoe.data import PreparedData
from automoe.distill import DistillConfig
from automoe.errors import ConfigError, TrainingError
from automoe.files import write_json
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import SIZES, WEIGHTS, read_model, write_model
from automoe.supernet import SupernetConfig
from automoe.training import launch as launching
from automoe.training import worker
from automoe.training.config import TrainingConfig
from automoe.training.distributed import DataParallelTrainer, Place
from automoe.training.launch import LOST, _cause, launch
from automoe.training.log import read_log
from automoe.training.loop import _fairseq_config, run
from automoe.training.train import FAILURE, DistillObjective, PlainObjective, SupernetObjective, train
from tests.architectures import architecture, decoder_layer, encoder_layer
from tests.spaces import small_space
from tests.training.in_process import trainer_of
from tests.training.job import kill_when, start, tiny_job

SPACE = small_space()
MANY_EXPERTS = architecture(
    16, [encoder_layer(8, 16, *[8] * 10, heads=2)], 12, [decoder_layer(*[8] * 12, heads=2, cross_heads=2)]
)
"""So many that in most batches some have no token."""
RULES = {
    "plain": PlainObjective(),
    "bfloat16": PlainObjective(),
    "distillation": None,  # needs a teacher
    "sandwich": SupernetObjective(space=SPACE, config=SupernetConfig(panel=1)),
    "single path": SupernetObjective(
        space=SPACE, config=SupernetConfig(rule="single_path", distillation=0.0, panel=1)
    ),
}
STOPPING = "stopping"
"""A training that only two processes do: from the teacher's weights, at a rate that ruins them."""
UPDATE_FREQ = {"single path": 2}
"""Of each of two processes, where it is more than 1."""
MODEL = TransformerConfig(vocab_size=200, dropout=0.0)


@pytest.fixture(scope="module")
def teacher(data, tmp_path_factory):
    """A model of random weights."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(3)
    info = {"segmenter": PreparedData.open(data).summary.segmenter}
    write_model(Transformer(SPACE.largest(), MODEL), folder, update=1, valid_nll=5.0, **info)
    return folder


def job_of(data, rule, teacher=None, **training):
    """Eight steps in two or more epochs of 11 batches, which no step of 2 or 4 divides; 2 batches to validate on.

    The plain ones have epochs of 7 batches, and a single one to validate on.
    """
    plain = rule in ("plain", "bfloat16")
    settings = {"max_updates": 8, "validate_every": 4, "warmup_updates": 2}
    settings |= {"max_tokens": 1250 if plain else 800, "precision": "bfloat16" if rule == "bfloat16" else "float32"}
    job = tiny_job(data, **settings | {"average": 2 if rule == "sandwich" else 1} | training)
    if rule == STOPPING:
        ruin = replace(job.training, lr=1.0, warmup_updates=1, patience=1)
        return replace(job, architecture=SPACE.largest(), model=MODEL, training=ruin, initial=teacher)
    objective = (
        DistillObjective(teachers=(teacher,), config=DistillConfig()) if rule == "distillation" else RULES[rule]
    )
    return replace(job, architecture=MANY_EXPERTS if plain else SPACE.largest(), model=MODEL, objective=objective)


@pytest.fixture(scope="module")
def together(data, teacher, tmp_path_factory):
    """Each training by two processes, one after the other, and what they noted."""
    folder = tmp_path_factory.mktemp("together")
    rules = (*RULES, STOPPING)
    for rule in rules:
        (folder / rule).mkdir()
        job_of(data, rule, teacher, processes=2, update_freq=UPDATE_FREQ.get(rule, 1)).write(folder / rule)
    command = [sys.executable, "-m", "tests.training.together", str(folder), *(str(folder / rule) for rule in rules)]
    assert launch(command, 2, os.environ | {"OMP_NUM_THREADS": "1"}) == (0, 0)
    return folder


@pytest.fixture(scope="module")
def alone(data, teacher, tmp_path_factory):
    """The same by one process with as many batches per step."""
    folder = tmp_path_factory.mktemp("alone")
    for rule in RULES:
        (folder / rule).mkdir()
        run(job_of(data, rule, teacher, update_freq=2 * UPDATE_FREQ.get(rule, 1)), folder / rule, Place())
    return folder


@pytest.mark.parametrize("rule", RULES)
def test_two_processes_end_with_the_weights_of_one_that_accumulates(together, alone, rule):
    weights = read_model(together / rule).state_dict()
    for name, weight in read_model(alone / rule).state_dict().items():
        if name.endswith("key_bias"):  # softmax cancels it: a gradient of rounding errors, which Adam makes great
            continue
        torch.testing.assert_close(weights[name], weight, atol=1e-5, rtol=0)


@pytest.mark.parametrize("rule", RULES)
def test_their_log_is_that_of_one_that_accumulates(together, alone, rule):
    ours, its = read_log(together / rule), read_log(alone / rule)
    averages = [("average", 8)] if rule == "sandwich" else []
    seen = [(record["kind"], record["update"]) for record in ours]
    assert seen == [("valid", 4), ("train", 8), ("valid", 8), *averages]

    def close(ours, its):
        if isinstance(its, dict):
            assert list(ours) == list(its)
            for key in its:
                close(ours[key], its[key])
        else:
            assert ours == pytest.approx(its, abs=2e-4)  # rounded to four digits

    close(dict(enumerate(ours)), dict(enumerate(its)))


def test_both_stop_early_at_the_same_update(together):
    seen = [(record["kind"], record["update"]) for record in read_log(together / STOPPING)]
    assert seen == [("valid", 0), ("valid", 4)]
    assert json.loads((together / STOPPING / SIZES).read_text())["update"] == 0


def test_no_weight_moves_that_neither_of_them_uses(together):
    for rank in range(2):
        noted = json.loads((together / f"rank{rank}.json").read_text())
        # The mean over both, where a missing one counts as 0; missing in both it stays missing.
        assert noted == {
            "gradients": [[1.5, 4.5], [2.0, 0.0], [2.0, 0.0], None],
            "one idle": [[1.0, 3.0], None],
            "agreed": 0,
            "leads": rank == 0,
        }


def test_a_batch_that_only_fills_up_leaves_the_gradients_of_others_alone(data, tmp_path):
    trainer, [[batch], [other], *_] = trainer_of(tiny_job(data), tmp_path)
    model = trainer.get_model()

    def gradients_after(sample, ignore_grad):
        trainer.task.train_step(sample, model, trainer.get_criterion(), trainer.optimizer, 0, ignore_grad)
        return [weight.grad.clone() for weight in model.parameters()]

    before = gradients_after(batch, ignore_grad=False)
    assert any(gradient.abs().sum() > 0 for gradient in before)
    assert all(map(torch.equal, gradients_after(other, ignore_grad=True), before))


def test_the_leading_one_alone_writes(together):
    names = {path.name for path in (together / "plain").iterdir()}
    assert names == {"job.json", "checkpoints", SIZES, "model.safetensors", "training.jsonl"}
    checkpoints = {path.name for path in (together / "plain" / "checkpoints").iterdir()}
    assert checkpoints == {"checkpoint_00000004.pt", "checkpoint_00000008.pt"}


@pytest.fixture
def launched(monkeypatch):
    """The calls of `launch`, which do nothing."""
    calls = []
    monkeypatch.setattr("automoe.training.train.launch", lambda *given, **_: calls.append(given) or (0, 0))
    return calls


def test_finished_training_is_taken_as_it_is(data, together, launched):
    before = {path: path.stat().st_mtime_ns for path in (together / "plain").rglob("*")}
    train(job_of(data, "plain", processes=2), together / "plain")
    assert launched == []
    assert {path: path.stat().st_mtime_ns for path in (together / "plain").rglob("*")} == before


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(b"torn")])
def test_finished_training_without_its_weights_is_made_again(data, together, tmp_path, launched, damage):
    shutil.copytree(together / "plain", tmp_path / "plain")
    damage(tmp_path / "plain" / WEIGHTS)
    train(job_of(data, "plain", processes=2), tmp_path / "plain")
    assert len(launched) == 1 and not (tmp_path / "plain" / SIZES).exists()


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_job_that_cannot_go_on_from_a_finished_training_leaves_it_as_it_is(data, together, launched):
    folder, job = together / "sandwich", job_of(data, "sandwich", processes=2)
    before = contents(folder)
    smaller = SupernetObjective(space=small_space(experts=(1, 2)), config=SupernetConfig(panel=1))
    for part, another in {
        "architecture": job_of(data, "plain"),
        "loss": replace(job, objective=PlainObjective()),
        "space": replace(job, objective=smaller),
        "precision": job_of(data, "sandwich", precision="float16"),
    }.items():
        with pytest.raises(TrainingError, match=f"another training: the {part} differs.*another folder, or remove"):
            train(another, folder)
        assert contents(folder) == before
    assert not launched


def test_a_job_with_more_updates_goes_on_from_a_finished_training(data, together, tmp_path, launched):
    shutil.copytree(together / "sandwich", tmp_path / "longer")
    train(job_of(data, "sandwich", processes=2, max_updates=9), tmp_path / "longer")
    assert len(launched) == 1 and not (tmp_path / "longer" / SIZES).exists()


def test_every_process_draws_in_its_own_way_and_the_first_as_fairseq_does():
    def drawn(kind, rank, update):
        trainer = SimpleNamespace(
            cfg=SimpleNamespace(common=SimpleNamespace(seed=7)),
            get_num_updates=lambda: update,
            data_parallel_rank=rank,
        )
        kind._set_seed(trainer)
        return tuple(torch.rand(4).tolist())

    ranks = [[drawn(DataParallelTrainer, rank, update) for update in range(5)] for rank in range(4)]
    assert len({numbers for rank in ranks for numbers in rank}) == 20
    assert ranks[0] == [drawn(Trainer, 0, update) for update in range(5)]
    assert drawn(DataParallelTrainer, 2, 3) == ranks[2][3]


SECONDS = 60
PROGRAM = f"import os, sys, time; rank = int(os.environ['RANK']); time.sleep({SECONDS} * (rank == 0)); "


@pytest.mark.parametrize(("end", "status"), [("sys.exit(5)", 5), ("os.kill(os.getpid(), 9)", -signal.SIGKILL)])
def test_all_are_ended_when_one_fails(monkeypatch, end, status):
    monkeypatch.setattr(launching, "_GRACE_SECONDS", 0.1)
    begin = time.monotonic()
    assert launch([sys.executable, "-S", "-c", PROGRAM + end], 2, os.environ) == (1, status)
    assert time.monotonic() - begin < SECONDS


@pytest.mark.parametrize(("statuses", "cause"), [
    ([0, 0], (0, 0)),
    ([LOST, 1], (1, 1)),
    ([1, -9, LOST], (1, -9)),
    ([None, 0, LOST], (2, LOST)),
])  # fmt: skip
def test_the_cause_is_told_and_not_its_consequences(statuses, cause):
    assert _cause(statuses) == cause


def test_place_is_what_torchrun_sets():
    torchrun = {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1", "MASTER_ADDR": "here", "MASTER_PORT": "1"}
    assert Place.of_environment(torchrun) == Place(rank=9, world_size=16, local_rank=1)
    assert Place.of_environment({}) == Place(rank=0, world_size=1)


def test_processes_below_one_are_refused():
    with pytest.raises(ConfigError, match=r"training\.processes=0: is not allowed \(allowed: >= 1\)"):
        TrainingConfig(processes=0)


def test_more_processes_than_gpus_are_refused_with_the_way_to_use_several_machines(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"processes=3: .*\(allowed: 1 to 2\).*torchrun .*automoe.training.worker"):
        train(tiny_job(data, processes=3), tmp_path)
    assert (tmp_path / "job.json").exists()  # for torchrun


def joining(data, folder, place):
    config = _fairseq_config(tiny_job(data), folder, place)
    place.join(config)


def test_a_process_that_cannot_find_the_others_says_so(data, tmp_path, monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(TrainingError, match=r"process 0 of 2 cannot reach the others: .*MASTER_ADDR.*torchrun"):
        joining(data, tmp_path, Place(rank=0, world_size=2))


def test_a_process_without_a_gpu_says_so(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(TrainingError, match=r"no GPU for process 2 of this machine, which has 2\. Start at most 2"):
        Place(rank=10, world_size=16, local_rank=2).join(None)


@pytest.mark.parametrize("alone", [True, False])
def test_who_has_no_parent_says_that_another_is_lost(data, tmp_path, monkeypatch, capsys, alone):
    def lost(*_):
        torch.distributed.all_reduce(torch.zeros(1))  # there is no group

    monkeypatch.setattr("automoe.training.loop.run", lost)
    monkeypatch.setattr(os, "_exit", sys.exit)
    tiny_job(data).write(tmp_path)
    with pytest.raises(SystemExit) as ended:
        worker._carry_out(tmp_path, alone=alone)
    assert ended.value.code == LOST
    assert ("automoe: the connection to another process is lost: " in capsys.readouterr().err) == alone


def test_processes_that_all_lost_each_other_are_no_failure_of_one(data, tmp_path, monkeypatch):
    monkeypatch.setattr("automoe.training.train.launch", lambda *_, **__: (1, LOST))
    with pytest.raises(TrainingError, match=r"training\.1\.log: the processes .* could not talk to each other"):
        train(tiny_job(data), tmp_path)


def test_a_configuration_error_of_a_process_is_one_here(data, tmp_path, monkeypatch):
    error = ConfigError("training.lr", -1.0, allowed="> 0")

    def failing(*_, **__):
        write_json(tmp_path / FAILURE, {"kind": "ConfigError", **error.fields()})
        return 0, 1

    monkeypatch.setattr("automoe.training.train.launch", failing)
    with pytest.raises(ConfigError) as caught:
        train(tiny_job(data), tmp_path)
    assert str(caught.value) == str(error)


def processes_of(folder):
    """Process ids of the workers of the training in `folder`, by rank."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            if b"automoe.training.worker" in command and str(folder).encode() in command:
                environment = (process / "environ").read_bytes().split(b"\0")
                [rank] = [entry.removeprefix(b"RANK=") for entry in environment if entry.startswith(b"RANK=")]
                found[int(rank)] = int(process.name)
        except OSError:  # it has just ended
            continue
    return found


def in_two(data, **training):
    """With dropout, jitter and limited room."""
    job = tiny_job(data, processes=2, max_tokens=800, **training)
    model = TransformerConfig(vocab_size=200, router_jitter=0.01, capacity_factor=1.0)
    return replace(job, architecture=SPACE.largest(), model=model, objective=RULES["single path"])


@pytest.mark.slow
def test_training_in_two_processes_that_is_killed_twice_ends_with_the_same_bits(data, tmp_path):
    train(in_two(data), tmp_path / "undisturbed")
    folder = tmp_path / "killed"
    process = start(in_two(data), folder)
    while not (folder / "checkpoints" / "checkpoint_00000010.pt").exists():
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.001)
    os.kill(processes_of(folder)[1], signal.SIGKILL)
    error = process.communicate()[1].decode()
    assert process.returncode == 1 and not processes_of(folder)
    assert error.count("Traceback") == 1  # this test's own; the other worker says nothing
    assert "training.1.log: a training process was killed" in error
    kill_when("checkpoints/*_00000020.pt", start(in_two(data), folder), folder)
    while processes_of(folder):
        time.sleep(0.01)
    train(in_two(data), folder)
    for name in ("model.safetensors", "model.json", "training.jsonl"):
        assert (folder / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), name
    assert "routers" in read_log(folder)[-2]
    assert (folder / "training.1.log").exists()


@pytest.mark.slow
def test_divergence_in_two_processes_is_one_error(data, tmp_path, capfd):
    problem = r"training\.lr=1e\+30: update \d+: .*coder layer \d .*(nan|inf).*, digest \w+\. Lower the learning rate"
    with pytest.raises(TrainingError, match=problem):
        train(in_two(data, lr=1e30, warmup_updates=1, clip_norm=0.0), tmp_path)
    assert "Traceback" not in capfd.readouterr().err
    assert not processes_of(tmp_path)


@pytest.mark.slow
def test_torchrun_trains_what_train_then_takes_as_it_is(data, tmp_path, monkeypatch):
    job = in_two(data)
    job.write(tmp_path)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    worker = ["-m", "automoe.training.worker", str(tmp_path)]
    wrong = subprocess.run([*torchrun, "1", *worker], capture_output=True, text=True, check=False)
    assert wrong.returncode != 0
    assert "training.processes=2: the training was started in 1 processes. Start 2, or" in wrong.stderr
    assert not (tmp_path / SIZES).exists()
    subprocess.run([*torchrun, "2", *worker], check=True)
    monkeypatch.setattr("automoe.training.train.launch", None)
    train(job, tmp_path)
    assert (tmp_path / SIZES).exists() and not (tmp_path / "failure.json").exists()


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_end_with_the_losses_of_one_that_accumulates(data, tmp_path):
    train(job_of(data, "plain", processes=2), tmp_path / "two")
    train(job_of(data, "plain", update_freq=2), tmp_path / "one")
    losses = [[r["nll_loss"] for r in read_log(tmp_path / name)] for name in ("two", "one")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)  # GPUs add up in no fixed order
