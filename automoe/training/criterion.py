"""fairseq criterion `automoe_cross_entropy`, and what all our criterions share."""

# No `from __future__ import annotations` here: fairseq reads the types of the arguments at run time.

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch import Tensor

from automoe.nn import Routings, mean_router_losses, smoothed_cross_entropy
from automoe.training.config import TrainingConfig
from automoe.training.router_log import is_router_count, router_counts

PANEL = "panel:"
"""Prefix of what is logged for each sub-transformer that a validation looks at."""
ROUTERS = "_routers"
"""Under this name a step's router counts are kept; fairseq's own progress lines leave out what begins with `_`."""

Output = tuple[Tensor, int, dict[str, Any]]
"""The loss summed over tokens, their number, and what is logged (sums over tokens, too)."""


@dataclass
class AutoMoECrossEntropyConfig(FairseqDataclass):
    """Arguments of the criterion."""

    label_smoothing: float = field(
        default=TrainingConfig.label_smoothing, metadata={"help": "probability spread over the vocabulary"}
    )
    balance_loss: float = field(
        default=TrainingConfig.balance_loss, metadata={"help": "coefficient of the load-balancing loss"}
    )
    router_z_loss: float = field(
        default=TrainingConfig.router_z_loss, metadata={"help": "coefficient of the router z-loss"}
    )


class AutoMoECriterion(FairseqCriterion):
    """A loss per token, plus the routers' mean losses per layer in training."""

    scalars: ClassVar[tuple[str, ...]] = ("loss", "nll_loss", "balance_loss", "z_loss")
    """What every step logs, per token."""

    def __init__(self, task: Any, cfg: Any) -> None:
        super().__init__(task)
        self.label_smoothing = cfg.label_smoothing
        self.balance_coefficient = cfg.balance_loss
        self.z_coefficient = cfg.router_z_loss

    def output(
        self,
        sample: dict[str, Any],
        loss: Tensor,
        nll: Tensor,
        balance: Tensor,
        z: Tensor,
        routings: Routings,
        **others: Tensor,
    ) -> Output:
        """What fairseq wants of a criterion.

        Args:
            sample: the batch.
            loss: what is minimised, summed over tokens, without the routers' losses.
            nll: negative log-likelihood of the reference, summed over tokens.
            balance: load-balancing loss, per token.
            z: router z-loss, per token.
            routings: of the architecture whose loads are logged.
            others: what else is logged, summed over tokens.
        """
        num_tokens = sample["ntokens"]
        if self.training:
            loss = loss + num_tokens * (self.balance_coefficient * balance + self.z_coefficient * z)
        logged = {
            "loss": loss.detach(),
            "nll_loss": nll.detach(),
            "balance_loss": balance.detach() * num_tokens,
            "z_loss": z.detach() * num_tokens,
            **{name: total.detach() for name, total in others.items()},
            **router_counts(routings),
            "ntokens": num_tokens,
            "nsentences": sample["target"].size(0),
            "sample_size": num_tokens,
        }
        return loss, num_tokens, logged

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Means per token: losses in nats; and the router counts of this step as they are."""
        size = sum(float(log["sample_size"]) for log in logging_outputs)
        counts = [name for name in logging_outputs[0] if is_router_count(name)]
        losses = (*cls.scalars, *(name for name in logging_outputs[0] if name.startswith(PANEL)))
        totals = _totals(logging_outputs, (*losses, *counts))
        for name in losses:
            metrics.log_scalar(name, totals[name] / size, size, round=4)
        if counts:  # a weight of 0: meters keep the newest and add up nothing
            metrics.log_scalar(ROUTERS, {name: totals[name] for name in counts}, weight=0)
        metrics.log_derived("ppl", lambda meters: math.exp(min(meters["nll_loss"].avg, 50.0)))

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """All that is logged are sums over tokens."""
        return True


def _totals(logging_outputs: list[dict[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Sums over batches; what stands on a GPU is fetched at once, since every fetch waits."""
    rows = torch.stack([torch.stack([log[name].double() for name in names]) for log in logging_outputs]).tolist()
    return {name: sum(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


@register_criterion("automoe_cross_entropy", dataclass=AutoMoECrossEntropyConfig)
class AutoMoECrossEntropy(AutoMoECriterion):
    """Label-smoothed cross-entropy (Szegedy et al. 2016) per token, plus the routers' losses."""

    def __init__(self, task: Any, cfg: AutoMoECrossEntropyConfig) -> None:
        super().__init__(task, cfg)

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> Output:
        """The loss summed over tokens, their number, and what is logged."""
        logits_NLV, extra = model(**sample["net_input"])
        smoothed, nll = smoothed_cross_entropy(logits_NLV, sample["target"], self.label_smoothing)
        balance, z = mean_router_losses(list(extra["routings"].values()), logits_NLV)
        return self.output(sample, smoothed, nll, balance, z, extra["routings"])
