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

from automoe.errors import TrainingError
from automoe.nn.model_folder import write_model
from automoe.progress import Progress
from automoe.training.averaging import mean_weights
from automoe.training.checkpoints import Best, CheckpointFolder, epoch_batches
from automoe.training.config import TrainingConfig
from automoe.training.criterion import PANEL, ROUTERS
from automoe.training.diagnosis import diagnose_step, diagnose_validation
from automoe.training.distributed import Place, agreed, leads
from automoe.training.log import AVERAGE, TrainingLog
from automoe.training.registration import AutoMoETranslationTask
from automoe.training.router_log import DropWatch, router_reports
from automoe.training.train import CHECKPOINTS, SupernetObjective, TrainingJob, origin
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
    for split in ("train", "valid"):
        task.load_dataset(split)
        _check_lengths(task, split, job.training.max_tokens)
    made_from = _made_from(job, task)
    checkpoints = CheckpointFolder(folder / CHECKPOINTS, average=job.training.average)
    epoch_iterator, best = checkpoints.restore(trainer)
    done = trainer.get_num_updates()
    initial = job.initial if best is None else None
    if initial is not None:
        trainer.load_initial(initial)
    log = TrainingLog(folder, resumed_at=None if best is None else done) if leads() else None
    shown = None if leads() else io.StringIO()
    total = job.training.max_updates
    with Progress(job.objective.label, total=total, unit="update", done=done, stream=shown) as progress:
        by_validation = job.targets is None or job.keep_references
        training = _Training(job.training, trainer, checkpoints, log, progress, best, by_validation=by_validation)
        try:
            if initial is not None:  # the first best: no training ends with worse weights than it began with
                training.validate_and_save(epoch_iterator, update=0)
            while not training.is_over():
                training.run_epoch(epoch_iterator)
                epoch_iterator = epoch_batches(trainer, epoch_iterator.next_epoch_idx)
            stopped = training.why_stopped()
            if stopped is not None:
                progress.end_here()
            weights, made = training.result()
        except torch.OutOfMemoryError as error:
            raise _no_memory(trainer.get_num_updates() + 1) from error
    if leads():
        if stopped is not None:
            _tell(stopped)
        (checkpoints.folder / _CRASH).unlink(missing_ok=True)
        model.float().load_state_dict(weights)
        write_model(model.transformer, folder, **made, **made_from)


def _made_from(job: TrainingJob, task: AutoMoETranslationTask) -> dict[str, str]:
    """What a model's file says of what it was made from."""
    space = {"space": job.objective.space.digest} if isinstance(job.objective, SupernetObjective) else {}
    return {"segmenter": task.prepared.summary.segmenter} | space | origin(job)


def _check_lengths(task: AutoMoETranslationTask, split: str, max_tokens: int) -> None:
    """Makes sure that every sentence of a set that is loaded fits into a batch.

    Raises:
        TrainingError: one does not.
    """
    longest = int(task.dataset(split).sizes.max())
    if longest <= max_tokens:
        return
    others = task.translations if split == "train" else None
    translated = others is not None and int(others.lengths.max()) == longest
    raise TrainingError(
        f"a {'translation of' if translated else 'sentence of'} the {split} set has {longest} tokens and fits into "
        "no batch",
        file=task.cfg.train_targets if translated else None,
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
    """The validation whose weights are the result so far."""
    drops: DropWatch = field(default_factory=DropWatch)
    by_validation: bool = True
    """Whether the weights with the lowest validation loss are the result. Where a teacher's translations alone are
    learnt, the last ones are: validation is on the references, from which that leads away."""

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
            if self.is_over():
                return

    def is_over(self) -> bool:
        """Whether the last update is done, or patience is at an end."""
        return self.trainer.get_num_updates() >= self.settings.max_updates or self._is_impatient()

    def why_stopped(self) -> str | None:
        """Why a training that is over has not come to its last update, in words; None if it has."""
        update, settings, best = self.trainer.get_num_updates(), self.settings, self.best
        if update >= settings.max_updates or best is None:
            return None
        return (
            f"stopped at update {update} of {settings.max_updates}: {self._waited()} validations in a row (the "
            f"patience) had no lower loss than the {best.loss:.4f} of update {best.update}"
        )

    def result(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """The weights of the lowest validation loss, and what is kept beside them: update, loss, what was averaged.

        They are those of a checkpoint, or else the mean of the last ones; the model is then this mean.
        """
        checkpoints, best, number = self.checkpoints, self.best, self.settings.average
        assert best is not None, "max_updates >= 1, and the last update is validated"
        updates = agreed(lambda: checkpoints.last(number)) if number > 1 else []
        if len(updates) > 1:
            weights = mean_weights(map(checkpoints.weights, updates))
            self.trainer.get_model().load_state_dict(weights)
            loss, panel, counts = _validate(self.trainer)
            self._record(AVERAGE, updates[-1], loss, panel, counts, averaged=updates)
            if loss < best.loss:
                return weights, {"update": updates[-1], "valid_nll": loss, "averaged": updates}
        weights = checkpoints.weights(best.update) if leads() else {}
        return weights, {"update": best.update, "valid_nll": best.loss}

    def _is_impatient(self) -> bool:
        return 0 < self.settings.patience <= self._waited()

    def _waited(self) -> int:
        """Validations since the best one."""
        every, best = self.settings.validate_every, self.best
        return 0 if best is None else self.trainer.get_num_updates() // every - best.update // every

    def validate_and_save(self, epoch_iterator: Any, update: int) -> None:
        """Validates, and writes a checkpoint, after `update` optimiser steps.

        Raises:
            TrainingError: the validation loss is NaN or infinite.
        """
        loss, panel, counts = _validate(self.trainer)
        loss = agreed(lambda: loss)  # to the last bit: all processes stop together
        if not math.isfinite(loss):  # before it is saved: the newest checkpoint must be one to go on from
            if update == 0:
                raise _unusable(loss)
            place = diagnose_validation(self.trainer)
            raise _diverged(f"update {update}: the validation loss is {loss}: {place}", self.settings.lr)
        self._record("valid", update, loss, panel, counts)
        if self.best is None or loss < self.best.loss or not self.by_validation:
            self.best = Best(update, loss)
        self.checkpoints.save(self.trainer, epoch_iterator, self.best, loss)

    def _record(
        self, kind: str, update: int, loss: float, panel: dict[str, float], counts: Mapping[str, float], **more: Any
    ) -> None:
        """Logs a validation, where this process leads."""
        if self.log is not None:
            members = {"panel": panel} if panel else {}
            self.log.write(kind, update, nll_loss=loss, **more, **members, **_routers(counts))


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
    logger.warning(message)
    print(f"training: warning: {message}", file=sys.stderr, flush=True)


def _tell(message: str) -> None:
    """Tells the user and the log."""
    logger.info(message)
    print(f"training: {message}", file=sys.stderr, flush=True)


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


def _fairseq_config(job: TrainingJob, save_dir: Path, place: Place) -> Any:
    """fairseq's configuration, by way of its own command line (the one interface that it documents)."""
    model, training = job.model, job.training
    flags = [
        *(str(job.data), "--task", "automoe_translation"),
        *([] if job.targets is None else ["--train-targets", str(job.targets)]),
        *(["--keep-references"] if job.keep_references else []),
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
