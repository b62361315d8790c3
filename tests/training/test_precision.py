"""Training in bfloat16 and float16 beside float32 master weights, on a CPU."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch

from automoe.errors import TrainingError
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import write_model
from automoe.progress import Progress
from automoe.space import space_of
from automoe.supernet import SupernetConfig
from automoe.training.distributed import Place
from automoe.training.log import read_log
from automoe.training.loop import _train_step, _Training, run
from automoe.training.objective import SupernetObjective
from automoe.training.trainer import MasterWeights, Overflow
from tests.architectures import MAXIMUM
from tests.training.in_process import trainer_of
from tests.training.job import tiny_job

HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
halves = pytest.mark.parametrize("precision", HALVES)


def job_of(data, precision, **training):
    settings = {"max_updates": 4, "validate_every": 2, "max_tokens": 256, "warmup_updates": 1}
    return tiny_job(data, precision=precision, **(settings | training))


def masters_of(trainer):
    return {name: master.detach().clone() for name, master in trainer._masters().items()}


@halves
def test_weights_are_halves_that_follow_their_masters_and_the_loss_falls(data, tmp_path, precision):
    trainer, batches = trainer_of(job_of(data, precision, max_updates=100), tmp_path)
    first = trainer.get_model().state_dict()["transformer.embedding"].clone()
    losses = [_train_step(trainer, batches[step % 4], lr=1.0)["loss"] for step in range(12)]
    assert sum(losses[-4:]) < sum(losses[:4]) - 0.5
    weights, masters = trainer.get_model().state_dict(), masters_of(trainer)
    assert set(masters) == set(weights)
    for name, master in masters.items():
        assert (weights[name].dtype, master.dtype) == (HALVES[precision], torch.float32)
        assert torch.equal(weights[name], master.to(HALVES[precision]))  # rounded to the nearest
    assert not torch.equal(weights["transformer.embedding"], first)
    assert not torch.equal(masters["transformer.embedding"], weights["transformer.embedding"].float())


@halves
def test_a_step_in_half_precision_is_nearly_that_in_float32(data, tmp_path, precision):
    def losses(precision):
        settings = TransformerConfig(vocab_size=200, dropout=0.0)
        trainer, batches = trainer_of(replace(job_of(data, precision), model=settings), tmp_path)
        return [_train_step(trainer, batches[step], lr=1.0) for step in range(3)]

    for half, whole in zip(losses(precision), losses("float32"), strict=True):
        for name in ("loss", "nll_loss", "balance_loss", "z_loss"):
            assert half[name] == pytest.approx(whole[name], rel=0.01), name


class Killed(Exception):
    pass


@halves
def test_killed_and_resumed_training_ends_with_the_same_bits(data, tmp_path, precision, monkeypatch):
    """The checkpoints hold the master weights, not the rounded ones."""
    job = job_of(data, precision)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    run(job, whole, Place())
    advance = Progress.advance

    def until_the_third_update(self, units=1, note=""):
        advance(self, units, note)
        if self._done == 3:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Progress, "advance", until_the_third_update)
        run(job, killed, Place())
    assert not (killed / "model.safetensors").exists()
    run(job, killed, Place())
    for name in ("model.safetensors", "model.json", "training.jsonl"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@halves
def test_on_a_gpu_the_loss_falls_and_a_resumed_training_has_the_same_masters(data, tmp_path, precision):
    job, file = job_of(data, precision, max_updates=100), tmp_path / "checkpoint.pt"
    trainer, batches = trainer_of(job, tmp_path)
    steps = [_train_step(trainer, batches[step % 4], lr=1.0) for step in range(12)]
    losses = [step["loss"] for step in steps if step is not None]  # float16 may leave out some
    assert sum(losses[-4:]) < sum(losses[:4]) - 0.5
    assert {(w.device.type, w.dtype) for w in trainer.get_model().parameters()} == {("cuda", HALVES[precision])}
    trainer.consolidate_optimizer()
    trainer.save_checkpoint(str(file), {})
    resumed, _ = trainer_of(job, tmp_path)
    resumed.load_checkpoint(str(file))
    assert resumed.get_num_updates() == trainer.get_num_updates() == len(losses)
    for name, master in masters_of(resumed).items():
        assert master.dtype == torch.float32 and torch.equal(master, masters_of(trainer)[name]), name
    ours, its = (_train_step(one, batches[0], lr=1.0)["loss"] for one in (resumed, trainer))
    assert ours == pytest.approx(its, abs=0.02)  # GPUs add up in no fixed order


def test_the_result_is_the_master_weights_of_the_best_update_in_float32(data, tmp_path):
    run(job_of(data, "bfloat16"), tmp_path, Place())
    best = min((record for record in read_log(tmp_path) if record["kind"] == "valid"), key=lambda r: r["nll_loss"])
    state = torch.load(tmp_path / "checkpoints" / f"checkpoint_{best['update']:08d}.pt", weights_only=True)["model"]
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    for name, weight in weights.items():
        assert weight.dtype == torch.float32 and torch.equal(weight, state[f"transformer.{name}"])
    assert any(not torch.equal(weight, weight.bfloat16().float()) for weight in weights.values())


def test_a_training_begins_with_unrounded_initial_weights(data, tmp_path):
    job = job_of(data, "bfloat16")
    torch.manual_seed(5)
    initial = Transformer(job.architecture, job.model)
    write_model(initial, tmp_path)
    trainer, batches = trainer_of(job, tmp_path / "out")
    trainer.load_initial(tmp_path)
    for name, weight in initial.state_dict().items():
        assert torch.equal(trainer._masters()[f"transformer.{name}"], weight)
    _train_step(trainer, batches[0], lr=1.0)
    for name, master in trainer._masters().items():
        # Adam moves a weight by about the learning rate at most: these are still the initial ones.
        torch.testing.assert_close(master, initial.state_dict()[name[12:]], atol=2 * job.training.lr, rtol=0)


def test_a_weight_that_a_step_does_not_visit_stays_where_it_is(data, tmp_path):
    trainer, _ = trainer_of(job_of(data, "bfloat16"), tmp_path)
    trainer.optimizer.set_lr(0.1)
    visited, other = trainer.optimizer.fp16_params[:2]
    assert isinstance(trainer.optimizer, MasterWeights)
    before = other.detach().clone()
    for loss in (visited.float().sum() + other.float().sum(), visited.float().sum()):
        trainer.zero_grad()
        trainer.optimizer.backward(loss)
        trainer.optimizer.clip_grad_norm(1.0)
        kept = [parameter.detach().clone() for parameter in (visited, other)]
        trainer.optimizer.step()
    assert not torch.equal(visited, kept[0])
    assert torch.equal(other, kept[1]) and not torch.equal(other, before)


def test_a_float16_step_that_overflows_is_left_out(data, tmp_path):
    trainer, batches = trainer_of(job_of(data, "float16"), tmp_path)
    trainer.optimizer.scaler.loss_scale = 2.0**40
    before = masters_of(trainer)
    with pytest.raises(Overflow, match="549755813888"):
        trainer.train_step(batches[0])
    assert _train_step(trainer, batches[1], lr=1.0) is None
    assert trainer.get_num_updates() == 0
    assert trainer.optimizer.scaler.loss_scale == 2.0**38
    assert all(torch.equal(master, before[name]) for name, master in masters_of(trainer).items())


def test_steps_left_out_are_no_updates(data, tmp_path):
    job = job_of(data, "float16", max_updates=2)
    trainer, batches = trainer_of(job, tmp_path)
    trainer.optimizer.scaler.loss_scale = 2.0**28
    updates = []
    progress = SimpleNamespace(advance=lambda **_: updates.append(trainer.get_num_updates()))
    training = _Training(job.training, trainer, None, None, progress, None)
    training.validate_and_save = lambda _, update: None
    training.run_epoch(SimpleNamespace(next_epoch_itr=lambda **_: [batch for [batch] in batches * 9], epoch=1))
    assert updates == [1, 2] and trainer.optimizer.scaler.loss_scale < 2.0**28


def test_float16_that_overflows_at_every_scale_stops_and_says_where(data, tmp_path):
    trainer, batches = trainer_of(job_of(data, "float16"), tmp_path)
    with torch.no_grad():
        trainer.get_model().transformer.decoder_layers[0].experts.w2[1].fill_(float("inf"))
    with pytest.raises(
        TrainingError, match=r"update 1: the experts of decoder layer 0 gave (nan|inf), in the sub-tra"
    ):
        for _ in range(40):
            assert _train_step(trainer, batches[0], lr=1.0) is None


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    run(job_of(data, "float32", max_updates=1), folder, Place())
    return folder


@pytest.mark.parametrize("part", ["architecture", "precision", "vocabulary", "loss"])
def test_checkpoints_of_another_training_are_refused(data, finished, tmp_path, part):
    job = job_of(data, "bfloat16" if part == "precision" else "float32")
    if part == "architecture":
        job = replace(job, architecture=MAXIMUM)
    elif part == "loss":
        objective = SupernetObjective(space=space_of(job.architecture, "space"), config=SupernetConfig())
        job = replace(job, objective=objective)
    trainer, _ = trainer_of(job, tmp_path)
    if part == "vocabulary":
        trainer.task.prepared = SimpleNamespace(summary=replace(trainer.task.prepared.summary, segmenter="0123"))
    [file] = finished.glob("checkpoints/*.pt")
    with pytest.raises(TrainingError, match=rf"of another training: the {part} differs.*another folder, or remove"):
        trainer.load_checkpoint(str(file))


def test_a_folder_of_another_training_is_refused_and_stays_as_it_is(data, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "used")
    before = {path: path.read_bytes() for path in (tmp_path / "used").rglob("*.*") if path.is_file()}
    with pytest.raises(TrainingError, match="the architecture differs"):
        run(replace(job_of(data, "float32"), architecture=MAXIMUM), tmp_path / "used", Place())
    assert {path: path.read_bytes() for path in before} == before
