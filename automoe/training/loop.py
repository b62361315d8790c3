"""The training loop over fairseq's Trainer: batches, losses, validation, checkpoints."""

from __future__ import annotations

import io
import json
import logging
import math
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import options, utils
from fairseq.data import iterators
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.logging import metrics

from automoe.data import PreparedData
from automoe.errors import TrainingError
from automoe.nn.model_folder import write_model
from automoe.progress import Progress
from automoe.training.checkpoints import Best, CheckpointFolder, epoch_batches
from automoe.training.config import TrainingConfig
from automoe.training.criterion import PANEL, ROUTERS
from automoe.training.diagnosis import diagnose_step, diagnose_validation
from automoe.training.distributed import Place, leads
from automoe.training.log import TrainingLog
from automoe.training.registration import AutoMoETranslationTask
from automoe.training.router_log import DropWatch, router_reports
from automoe.training.train import CHECKPOINTS, SupernetObjective, TrainingJob
from automoe.training.trainer import MixedPrecisionTrainer, Overflow

logger = logging.getLogger(__name__)
_LOG_EVERY = 50
_PRECISION_FLAGS = {"float32": [], "bfloat16": ["--bf16"], "float16": ["--fp16", "--fp16-no-flatten-grads"]}
"""fairseq flattens float16 gradients on GPUs only."""
_CRASH = "crash.pt"
"""What fairseq writes when a step raises."""


def run(job: TrainingJob, folder: Path, place: Place) -> None:
    """Trains from the newest checkpoint in `folder`, or from the start, to the last update.

    Args:
        job: what to train.
        folder: where it is trained.
        place: of this process, among those that call this function with the same job and folder.
    """
    torch.set_num_threads(job.training.threads)
    config = _fairseq_config(job, folder / CHECKPOINTS, place)
    place.join(config)
    metrics.reset()
    np.random.seed(job.seed)  # noqa: NPY002  fairseq draws from the global generators
    utils.set_torch_seed(job.seed)
    task = AutoMoETranslationTask.setup_task(config.task)
    model = task.build_model(config.model)
    trainer = MixedPrecisionTrainer(config, task, model, task.build_criterion(config.criterion))
    task.load_dataset("valid")
    _check_lengths(task.prepared, job.training.max_tokens)
    checkpoints = CheckpointFolder(folder / CHECKPOINTS)
    epoch_iterator, best = checkpoints.restore(trainer)
    done = trainer.get_num_updates()
    initial = job.initial if best is None else None
    if initial is not None:
        trainer.load_initial(initial)
    log = TrainingLog(folder, resumed_at=None if best is None else done) if leads() else None
    shown = None if leads() else io.StringIO()
    total = job.training.max_updates
    with Progress(job.objective.label, total=total, unit="update", done=done, stream=shown) as progress:
        training = _Training(job.training, trainer, checkpoints, log, progress, best)
        try:
            if initial is not None:  # the first best: no training ends with worse weights than it began with
                training.validate_and_save(epoch_iterator, update=0)
            while trainer.get_num_updates() < job.training.max_updates:
                training.run_epoch(epoch_iterator)
                epoch_iterator = epoch_batches(trainer, epoch_iterator.next_epoch_idx)
        except torch.OutOfMemoryError as error:
            raise _no_memory(trainer.get_num_updates() + 1) from error
    assert training.best is not None, "max_updates >= 1, and the last update is validated"
    info = {"segmenter": task.prepared.summary.segmenter}
    if isinstance(job.objective, SupernetObjective):
        info["space"] = job.objective.space.digest
    if leads():
        _finish(model, checkpoints, training.best, folder, info)


def _check_lengths(prepared: PreparedData, max_tokens: int) -> None:
    """Makes sure that every sentence fits into a batch.

    Raises:
        TrainingError: one does not.
    """
    for split in ("train", "valid"):
        longest = max(int(prepared.ids(split, side).lengths.max()) for side in ("src", "tgt"))
        if longest > max_tokens:
            raise TrainingError(
                f"a sentence of the {split} set has {longest} tokens and fits into no batch",
                key="training.max_tokens",
                value=max_tokens,
                allowed=f">= {longest}",
            )


@dataclass
class _Training:
    """A training under way."""

    settings: TrainingConfig
    trainer: Any
    checkpoints: CheckpointFolder
    log: TrainingLog | None
    """None in a process that does not lead."""
    progress: Progress
    best: Best | None
    """The validation with the lowest loss so far."""
    drops: DropWatch = field(default_factory=DropWatch)

    def run_epoch(self, epoch_iterator: Any) -> None:
        """Trains on the rest of an epoch, or to the last update if that comes first."""
        settings = self.settings
        batches = iterators.GroupedIterator(epoch_iterator.next_epoch_itr(shuffle=True), settings.update_freq)
        self.trainer.begin_epoch(epoch_iterator.epoch)
        for samples in batches:
            # At the end of an epoch a process may have fewer batches, or an empty one that only keeps it in step.
            samples = [sample for sample in samples if sample] or samples[:1]
            with metrics.aggregate() as meters:
                losses = _train_step(self.trainer, samples, settings.lr)
            if losses is None:
                continue
            update = self.trainer.get_num_updates()
            self.progress.advance(note=f"loss {losses['loss']:.3f}")
            if self.log is not None and (update % _LOG_EVERY == 0 or update == settings.max_updates):
                routers = _routers(meters[ROUTERS].val) if ROUTERS in meters else {}
                self.log.write("train", update, **losses, lr=self.trainer.get_lr(), **routers)
                for warning in self.drops.warnings(update, routers.get("routers", {})):
                    _warn(warning)
            if update % settings.validate_every == 0 or update == settings.max_updates:
                self.validate_and_save(epoch_iterator, update)
            if update == settings.max_updates:
                return

    def validate_and_save(self, epoch_iterator: Any, update: int) -> None:
        """Validates, and writes a checkpoint, after `update` optimiser steps.

        Raises:
            TrainingError: the validation loss is NaN or infinite.
        """
        loss, panel, counts = _validate(self.trainer)
        if not math.isfinite(loss):  # before it is saved: the newest checkpoint must be one to go on from
            if update == 0:
                raise _unusable(loss)
            place = diagnose_validation(self.trainer)
            raise _diverged(f"update {update}: the validation loss is {loss}: {place}", self.settings.lr)
        members = {"panel": panel} if panel else {}
        if self.log is not None:
            self.log.write("valid", update, nll_loss=loss, **members, **_routers(counts))
        if self.best is None or loss < self.best.loss:
            self.best = Best(update, loss)
        self.checkpoints.save(self.trainer, epoch_iterator, self.best, loss)


def _train_step(trainer: Any, samples: list[Any], lr: float) -> dict[str, float] | None:
    """One optimiser step; returns its losses per token, or None if it was left out: of float16 some are.

    Raises:
        TrainingError: the loss or a gradient is NaN or infinite, or memory ran out.
    """
    update = trainer.get_num_updates() + 1
    try:
        with metrics.aggregate("train"):
            values = trainer.train_step(samples)
    except Overflow:
        return None
    except FloatingPointError as error:
        raise _diverged(f"update {update}: {diagnose_step(trainer, samples)}", lr) from error
    if values is None:  # fairseq has swallowed the allocator's error
        raise _no_memory(update)
    losses = {name: float(values[name]) for name in trainer.get_criterion().scalars}
    if not math.isfinite(losses["loss"]):
        raise _diverged(f"update {update}: the loss is {losses['loss']}", lr)
    return losses


def _diverged(problem: str, lr: float) -> TrainingError:
    hint = "Lower the learning rate, set training.clip_norm to 1, or warm up longer; the checkpoints stay"
    return TrainingError(problem, key="training.lr", value=lr, hint=hint)


def _unusable(loss: float) -> TrainingError:
    hint = "Train that model anew with a lower learning rate, or begin with random weights"
    return TrainingError(f"the validation loss of the initial model is {loss}", key="initial", hint=hint)


def _no_memory(update: int) -> TrainingError:
    return TrainingError(
        f"update {update}: the device has no memory left",
        key="training.max_tokens",
        hint="Lower it, and raise training.update_freq by as much: the same tokens make one step",
    )


def _warn(message: str) -> None:
    """Tells the user and the log."""
    logger.warning(message)
    print(f"training: warning: {message}", file=sys.stderr, flush=True)


def _routers(counts: Mapping[str, float]) -> dict[str, Any]:
    """What a record says of the routers; nothing where there are none."""
    return {"routers": router_reports(counts)} if counts else {}


def _validate(trainer: Any) -> tuple[float, dict[str, float], Counter[str]]:
    """Negative log-likelihood per token on the validation set, in nats; that of each of the panel, if any; and the
    router counts of the architecture or, of a panel, of the largest."""
    totals: dict[str, float] = {}
    counts: Counter[str] = Counter()
    size = 0.0
    with metrics.aggregate(new_root=True):
        for sample in trainer.get_valid_iterator("valid").next_epoch_itr(shuffle=False, set_dataset_epoch=False):
            with metrics.aggregate() as meters:
                trainer.valid_step(sample)
            size += meters["nll_loss"].count
            for name in ("nll_loss", *(name for name in meters if name.startswith(PANEL))):
                totals[name] = totals.get(name, 0.0) + meters[name].sum
            if ROUTERS in meters:
                counts.update(meters[ROUTERS].val)
    loss = totals.pop("nll_loss") / size
    return loss, {name.removeprefix(PANEL): total / size for name, total in totals.items()}, counts


def _finish(model: Any, checkpoints: CheckpointFolder, best: Best, folder: Path, info: dict[str, str]) -> None:
    (checkpoints.folder / _CRASH).unlink(missing_ok=True)
    model.float().load_state_dict(checkpoints.weights(best.update))
    write_model(model.transformer, folder, update=best.update, valid_nll=best.loss, **info)


def _fairseq_config(job: TrainingJob, save_dir: Path, place: Place) -> Any:
    """fairseq's configuration, by way of its own command line (the one interface that it documents)."""
    model, training = job.model, job.training
    flags = [
        *(str(job.data), "--task", "automoe_translation"),
        *("--arch", "automoe_transformer", "--architecture", json.dumps(job.architecture.to_dict())),
        *("--dropout", str(model.dropout), "--attention-dropout", str(model.attention_dropout)),
        *("--activation-dropout", str(model.activation_dropout)),
        *([] if model.expert_dropout is None else ["--expert-dropout", str(model.expert_dropout)]),
        *("--router-jitter", str(model.router_jitter)),
        *([] if model.capacity_factor is None else ["--capacity-factor", str(model.capacity_factor)]),
        *("--router-precision", model.router_precision),
        *([] if model.pre_norm else ["--post-norm"]),
        *job.objective.flags(),
        *("--label-smoothing", str(training.label_smoothing)),
        *("--balance-loss", str(training.balance_loss), "--router-z-loss", str(training.router_z_loss)),
        *("--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--weight-decay", str(training.weight_decay)),
        *("--lr", str(training.lr), "--clip-norm", str(training.clip_norm)),
        *("--max-positions", str(training.max_tokens)),  # fairseq would leave out sentences above 1024 in silence
        *("--max-tokens", str(training.max_tokens), "--update-freq", str(training.update_freq)),
        *("--max-update", str(training.max_updates), "--warmup-updates", str(training.warmup_updates)),
        *_PRECISION_FLAGS[training.precision],
        *place.flags(),
        *("--save-dir", str(save_dir)),  # where fairseq leaves the state of a crash
        *("--seed", str(job.seed), "--num-workers", "0", "--no-progress-bar"),
    ]
    if training.lr_decay == "linear":
        flags += ["--lr-scheduler", "polynomial_decay", "--total-num-update", str(training.max_updates)]
    else:
        flags += ["--lr-scheduler", "inverse_sqrt", "--warmup-init-lr", "1e-7"]
    if not torch.cuda.is_available():
        flags += ["--cpu"]
    parser = options.get_training_parser()
    arguments = options.parse_args_and_arch(parser, flags)
    arguments.tpu = False  # fairseq takes bfloat16 for a TPU's
    return convert_namespace_to_omegaconf(arguments)
