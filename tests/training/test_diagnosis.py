"""A training that diverges says where, costs nothing before, and can go on from its last good checkpoint."""

import re
from dataclasses import replace

import pytest
import torch

from automoe.errors import TrainingError
from automoe.nn import TransformerConfig
from automoe.progress import Progress
from automoe.supernet import SupernetConfig, visits
from automoe.training import loop
from automoe.training.distributed import Place
from automoe.training.log import read_log
from automoe.training.loop import _train_step, run
from automoe.training.objective import SupernetObjective
from tests.spaces import small_space
from tests.training.in_process import trainer_of
from tests.training.job import tiny_job

SPACE, CONFIG = small_space(), SupernetConfig(random=1, panel=1)


def job_of(data, **training):
    return tiny_job(
        data, **({"max_updates": 4, "validate_every": 2, "max_tokens": 256, "warmup_updates": 2} | training)
    )


def supernet_job(data):
    objective = SupernetObjective(space=SPACE, config=CONFIG)
    return replace(job_of(data), architecture=SPACE.envelope(), objective=objective)


def failing(trainer, batch):
    """The message of a step that must fail; it leaves no hook behind."""
    with pytest.raises(TrainingError) as caught:
        _train_step(trainer, batch, lr=0.5)
    modules = list(trainer.get_model().modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    assert not any(weight._post_accumulate_grad_hooks for weight in trainer.get_model().parameters())
    return str(caught.value)


@pytest.mark.parametrize(("weight", "value", "place"), [
    ("encoder_layers.1.experts.w1.0", "nan", "the experts of encoder layer 1 gave nan"),
    ("encoder_layers.0.self_attention.key_weight", "nan", "the self-attention of encoder layer 0 gave nan"),
    ("decoder_layers.0.cross_attention.value_bias", "inf", "the cross-attention of decoder layer 0 gave (nan|inf)"),
    ("decoder_layers.0.expert_norm.weight", "inf", "the norm of the experts of decoder layer 0 gave (nan|inf)"),
    ("decoder_norm.bias", "inf", "the last norm of the decoder gave inf"),
    ("embedding", "nan", "nan goes into encoder layer 0"),
])  # fmt: skip
def test_a_step_that_fails_names_the_first_layer_that_did(data, tmp_path, weight, value, place):
    job = job_of(data)
    trainer, batches = trainer_of(job, tmp_path)
    with torch.no_grad():
        trainer.get_model().transformer.get_parameter(weight).fill_(float(value))
    message = failing(trainer, batches[0])
    arch = job.architecture
    sizes = f"in the sub-transformer of {len(arch.encoder.layers)}.{len(arch.decoder.layers)} layers"
    assert re.search(rf"update 1: {place}, {sizes}.*digest {arch.digest}.*the checkpoints stay", message)


def test_a_step_of_several_sub_transformers_names_the_one_that_failed(data, tmp_path):
    trainer, batches = trainer_of(supernet_job(data), tmp_path)
    archs = [visit.arch for visit in visits(SPACE, CONFIG, seed=7, update=0)]
    assert len(set(archs)) == 3
    transformer = trainer.get_model().transformer
    current = []
    transformer.register_forward_pre_hook(lambda _, inputs: current.append(inputs[2]))
    transformer.encoder_layers[0].register_forward_hook(
        lambda _, _inputs, output: (output[0] / 0, output[1]) if current[-1] == ruined else output
    )
    for ruined in archs:
        with pytest.raises(TrainingError, match=rf"encoder layer 0 gave (nan|inf), in .* digest {ruined.digest}"):
            _train_step(trainer, batches[0], lr=0.5)


def test_a_gradient_that_fails_alone_is_named(data, tmp_path):
    trainer, batches = trainer_of(job_of(data), tmp_path)
    norm = trainer.get_model().transformer.decoder_layers[0].cross_norm
    norm.weight.register_hook(lambda grad: grad * float("inf"))
    message = failing(trainer, batches[0])
    assert "the gradient of the norm of the cross-attention of decoder layer 0 is" in message
    assert "though the loss is finite, in the sub-transformer of" in message


def test_gradients_that_are_finite_but_too_many_are_told_apart(data, tmp_path):
    trainer, batches = trainer_of(job_of(data), tmp_path)
    for weight in trainer.get_model().parameters():
        weight.register_hook(lambda grad: torch.full_like(grad, 3e38))
    assert "no single gradient is to blame, but their sum or their norm" in failing(trainer, batches[0])


def test_a_healthy_step_is_not_watched(data, tmp_path, monkeypatch):
    trainer, batches = trainer_of(job_of(data), tmp_path)
    monkeypatch.setattr(loop, "diagnose_step", None)
    assert _train_step(trainer, batches[0], lr=0.5)["loss"] > 0


class Poison:
    """Ruins a weight after an update of a training that runs in this process."""

    def __init__(self, monkeypatch, update):
        self.update, self.model = update, None
        advance, train_step = Progress.advance, loop._train_step

        def step(trainer, samples, lr):
            self.model = trainer.get_model()
            return train_step(trainer, samples, lr)

        def poison(progress, units=1, note=""):
            advance(progress, units, note)
            if progress._done == self.update:
                with torch.no_grad():
                    self.model.transformer.encoder_layers[1].experts.w2[0].fill_(float("nan"))

        monkeypatch.setattr(loop, "_train_step", step)
        monkeypatch.setattr(Progress, "advance", poison)


@pytest.mark.parametrize(("update", "message"), [
    (3, r"update 4: the experts of encoder layer 1 gave nan, in the sub-transformer of"),
    (4, r"update 4: the validation loss is nan: the experts of encoder layer 1 gave nan, in the sub-transformer of"),
])  # fmt: skip
def test_the_last_good_checkpoint_stays_and_the_training_goes_on_from_it(
    data, tmp_path, monkeypatch, update, message
):
    job, whole, ruined = job_of(data), tmp_path / "whole", tmp_path / "ruined"
    for folder in (whole, ruined):
        folder.mkdir()
    run(job, whole, Place())
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match=message):
        Poison(patch, update)
        run(job, ruined, Place())
    good = torch.load(ruined / "checkpoints" / "checkpoint_00000002.pt", weights_only=True)["model"]
    assert all(bool(weight.isfinite().all()) for weight in good.values())
    assert not (ruined / "model.safetensors").exists()
    run(job, ruined, Place())
    for name in ("model.safetensors", "model.json", "training.jsonl"):
        assert (ruined / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_layer_that_drops_most_of_its_tokens_is_named_once_and_the_training_goes_on(
    data, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(loop, "_LOG_EVERY", 1)
    model = TransformerConfig(vocab_size=200, capacity_factor=0.01)
    run(replace(job_of(data), model=model), tmp_path, Place())
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    trained = [record["routers"] for record in read_log(tmp_path) if record["kind"] == "train"]
    assert len(trained) == 4 and all(report["dropped"] > 0.9 for routers in trained for report in routers.values())
    assert len(lines) == len(trained[0]) == 2
    for line, layer in zip(lines, trained[0], strict=True):
        assert line.startswith("training: warning: update 1: 9")
        assert f"% of the tokens found no room in the experts of {layer} and passed them by" in line
        assert line.endswith("Raise model.capacity_factor, or set it to null")
