"""What the loop makes of losses that are no numbers, without a process."""

import json
from types import SimpleNamespace

import pytest
import torch
from fairseq.data import Dictionary
from fairseq.logging import metrics

from automoe.errors import TrainingError
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import write_model
from automoe.training import loop
from automoe.training.checkpoints import CheckpointFolder
from automoe.training.distillation_criterion import AutoMoEDistillation, AutoMoEDistillationConfig
from automoe.training.log import TrainingLog, read_log
from automoe.training.loop import _train_step, _Training
from automoe.training.registration import AutoMoETransformerModel
from automoe.training.supernet_criterion import AutoMoESupernet, AutoMoESupernetConfig
from automoe.training.task import UPDATE
from tests.spaces import small_space
from tests.training.job import tiny_job

SPACE, CONFIG = small_space(), TransformerConfig(vocab_size=19, dropout=0.0)


def batch(seed):
    ids_NL = torch.randint(4, 19, (2, 5), generator=torch.Generator().manual_seed(seed))
    net_input = {"src_tokens": ids_NL, "src_lengths": torch.tensor([5, 5]), "prev_output_tokens": ids_NL}
    return {"net_input": net_input, "target": ids_NL, "ntokens": ids_NL.numel(), UPDATE: 0}


class FakeTrainer:
    """What the loop asks of fairseq's Trainer; a step changes nothing."""

    def __init__(self, criterion, arch):
        self.arch = arch
        self.model = AutoMoETransformerModel(Transformer(arch, CONFIG), Dictionary())
        self.criterion = criterion
        self.batch = batch(seed=0)

    def begin_epoch(self, epoch):
        pass

    def get_lr(self):
        return 0.5

    def get_num_updates(self):
        return 4

    def get_criterion(self):
        return self.criterion

    def get_model(self):
        return self.model

    def _prepare_sample(self, sample):
        return sample, False

    def train_step(self, samples):
        with metrics.aggregate() as meters:
            criterion, model = self.criterion.train(), self.model.train()
            criterion.reduce_metrics([criterion(model, sample)[2] for sample in samples])
        return meters.get_smoothed_values()

    def valid_step(self, sample):
        self.criterion.eval().reduce_metrics([self.criterion(self.model.eval(), sample)[2]])

    def get_valid_iterator(self, split):
        return SimpleNamespace(next_epoch_itr=lambda **_: [self.batch])


def sandwich(folder):
    config = AutoMoESupernetConfig(space=json.dumps(SPACE.to_dict()), seed=1)
    return FakeTrainer(AutoMoESupernet(SimpleNamespace(), config), SPACE.largest())


def distillation(folder):
    write_model(Transformer(SPACE.largest(), CONFIG), folder)
    summary = SimpleNamespace(vocab_size=19, segmenter="abc")
    task = SimpleNamespace(prepared=SimpleNamespace(summary=summary))
    criterion = AutoMoEDistillation(task, AutoMoEDistillationConfig(teacher=str(folder)))
    return FakeTrainer(criterion, SPACE.smallest())


@pytest.fixture(params=[sandwich, distillation])
def trainer(request, tmp_path):
    torch.manual_seed(0)
    return request.param(tmp_path)


def test_a_step_logs_the_loads_of_its_own_batches(monkeypatch, trainer, tmp_path):
    monkeypatch.setattr(loop, "_LOG_EVERY", 1)
    progress = SimpleNamespace(advance=lambda **_: None)

    def logged(batches):
        log, job = TrainingLog(tmp_path, resumed_at=None), tiny_job(tmp_path, update_freq=2)
        training = _Training(job.training, trainer, None, log, progress, None)
        training.run_epoch(SimpleNamespace(next_epoch_itr=lambda **_: batches, epoch=1))
        return [record.get("routers", {}) for record in read_log(tmp_path)]

    first, second = logged([batch(seed) for seed in range(4)])
    layers = [f"{side} {index}" for side, index, layer in trainer.arch.layers() if layer.num_experts > 1]
    assert list(first) == list(second) == layers
    # Those of both of its batches, and of no earlier one.
    assert logged([batch(2), batch(3)]) == [second] and logged([batch(3), batch(2)]) == [second]
    if layers:
        assert first != second and logged([batch(2), batch(2)]) != [second]
    assert not any("load:" in name for name in trainer.train_step([trainer.batch]))  # what fairseq prints


def ruin(trainer):
    """One weight of the last layer norm is no number."""
    with torch.no_grad():
        list(trainer.model.parameters())[-1].view(-1)[0] = float("nan")


def test_a_loss_that_is_no_number_stops_the_training_even_if_its_gradients_are_numbers(trainer):
    assert _train_step(trainer, [trainer.batch], lr=0.5)["loss"] > 0
    ruin(trainer)
    with pytest.raises(TrainingError, match=r"update 5: the loss is nan.*Lower the learning rate") as caught:
        _train_step(trainer, [trainer.batch], lr=0.5)
    assert (caught.value.key, caught.value.value) == ("training.lr", 0.5)


@pytest.mark.parametrize(("update", "problem"), [
    (4, "update 4: the validation loss is nan.*Lower the learning rate"),
    (0, "the validation loss of the initial model is nan.*begin with random weights"),
])  # fmt: skip
def test_a_validation_that_is_no_number_is_neither_logged_nor_saved(trainer, tmp_path, update, problem):
    ruin(trainer)
    checkpoints, log = CheckpointFolder(tmp_path / "checkpoints"), TrainingLog(tmp_path, resumed_at=None)
    training = _Training(tiny_job(tmp_path).training, trainer, checkpoints, log, None, None)
    with pytest.raises(TrainingError, match=problem):
        training.validate_and_save(None, update)
    assert not read_log(tmp_path)
    assert not list(checkpoints.folder.iterdir())
