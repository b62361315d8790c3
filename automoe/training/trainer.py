"""fairseq's Trainer, where weights and states are bfloat16 or float16 and master weights are float32.

fairseq casts the model and steps float32 copies of its weights (Micikevicius et al. 2018). What it lacks for us: its
checkpoints hold rounded weights, so that a resumed training is another; a float16 step that overflows fails without
a GPU; and weights that a step did not visit, which get no gradient, are moved all the same by Adam's momentum.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fairseq.optim import FP16Optimizer
from fairseq.optim.lr_scheduler import build_lr_scheduler
from torch import Tensor

from automoe.nn import Transformer
from automoe.training.distributed import DataParallelTrainer
from automoe.training.inherit import load_initial
from automoe.training.same import MODEL, check_same, precision_of

_SCALER = "loss_scaler"
_SCALER_STATE = ("loss_scale", "_iter", "_last_overflow_iter", "_last_rescale_iter", "_overflows_since_rescale")


class Overflow(Exception):
    """A float16 gradient was infinite: the step was left out, and the next has half the loss scale."""


class MasterWeights(FP16Optimizer):  # type: ignore[misc]
    """fairseq's float32 copies of the weights; those without a gradient stay as they are, as in float32.

    Weights that a step does not visit have none, but for experts that no token reached in `dispatch_grouped`.
    """

    def _sync_fp16_grads_to_fp32(self) -> None:
        super()._sync_fp16_grads_to_fp32()
        for weight, master in zip(self.fp16_params, self.fp32_params, strict=True):
            if weight.grad is None:
                master.grad = None


class MixedPrecisionTrainer(DataParallelTrainer):
    """A Trainer for every precision; in float32 there are no master weights beside the weights."""

    @property
    def mixed(self) -> bool:
        """Whether there are master weights."""
        return bool(self.cfg.common.fp16 or self.cfg.common.bf16)

    def train_step(self, samples: list[Any], raise_oom: bool = False) -> Any:
        """As fairseq's.

        Raises:
            Overflow: the step was left out.
            FloatingPointError: a gradient is NaN or infinite at every loss scale.
        """
        scale = self._loss_scale()
        try:
            values = super().train_step(samples, raise_oom)
        except (AssertionError, RuntimeError) as error:
            # Where there is no GPU fairseq fails in putting a 0 on one, after it has left out the step.
            if not isinstance(error.__context__, OverflowError):
                raise
            values = None
        if values is None and self._loss_scale() < scale:
            self.zero_grad()
            raise Overflow(f"the loss scale is now {self._loss_scale()}")
        return values

    def load_initial(self, folder: Path) -> None:
        """Begins with the weights of a model folder, see `inherit.load_initial`, unrounded."""
        transformer: Transformer = self.get_model().transformer
        initial = Transformer(transformer.maximum, transformer.config)
        load_initial(initial, folder, self.task.prepared.summary)
        weights = {MODEL + name: weight for name, weight in initial.state_dict().items()}
        self.get_model().load_state_dict(weights)
        self._set_masters(weights)

    def state_dict(self) -> dict[str, Any]:
        """As fairseq's; the model's weights are the master weights."""
        state: dict[str, Any] = super().state_dict()
        if self.mixed:
            state["model"] |= {name: master.detach() for name, master in self._masters().items()}
        if (scaler := self._scaler()) is not None:
            state["extra_state"][_SCALER] = [getattr(scaler, name) for name in _SCALER_STATE]
        return state

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> Any:
        """As fairseq's; the training then goes on as if it had never stopped.

        Raises:
            TrainingError: it is of another architecture, vocabulary, loss or precision.
        """
        saved = torch.load(filename, map_location="cpu", mmap=True, weights_only=True)
        criterion = self.cfg.criterion
        check_same(
            saved,
            Path(filename),
            architecture=self.cfg.model.architecture,
            loss=criterion._name,
            space=criterion.get("space"),
            precision=precision_of(self.cfg.common),
            summary=self.task.prepared.summary,
            targets=self.task.targets_identity,
        )
        extra = super().load_checkpoint(filename, *args, **kwargs)
        self._set_masters(saved["model"])
        if (scaler := self._scaler()) is not None:
            for name, value in zip(_SCALER_STATE, extra[_SCALER], strict=True):
                setattr(scaler, name, value)
        return extra

    def _build_optimizer(self) -> None:
        if not self.mixed:
            super()._build_optimizer()
            return
        params = [weight for weight in self.model.parameters() if weight.requires_grad]
        self._optimizer = MasterWeights.build_optimizer(self.cfg, params)
        self._lr_scheduler = build_lr_scheduler(self.cfg.lr_scheduler, self._optimizer)
        self._lr_scheduler.step_update(0)

    def _masters(self) -> dict[str, Tensor]:
        """The master weights by the names of the model's; none in float32."""
        if not self.mixed:
            return {}
        names = {id(weight): name for name, weight in self.get_model().named_parameters()}
        optimizer = self.optimizer
        return {
            names[id(weight)]: master
            for weight, master in zip(optimizer.fp16_params, optimizer.fp32_params, strict=True)
        }

    @torch.no_grad()
    def _set_masters(self, weights: Mapping[str, Tensor]) -> None:
        for name, master in self._masters().items():
            master.copy_(weights[name])

    def _scaler(self) -> Any:
        """fairseq's loss scaler; None but in float16."""
        return getattr(self.optimizer, "scaler", None)

    def _loss_scale(self) -> float:
        scaler = self._scaler()
        return 1.0 if scaler is None else float(scaler.loss_scale)
