"""fairseq criterion `automoe_cross_entropy`: smoothed cross-entropy and the routers' auxiliary losses."""

# No `from __future__ import annotations` here: fairseq reads the types of the arguments at run time.

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch import Tensor

from automoe.nn import Routing, balance_loss, router_z_loss, smoothed_cross_entropy


@dataclass
class AutoMoECrossEntropyConfig(FairseqDataclass):
    """Arguments of the criterion."""

    label_smoothing: float = field(default=0.1, metadata={"help": "probability spread over the vocabulary"})
    balance_loss: float = field(default=0.01, metadata={"help": "coefficient of the load-balancing loss"})
    router_z_loss: float = field(default=0.001, metadata={"help": "coefficient of the router z-loss"})


@register_criterion("automoe_cross_entropy", dataclass=AutoMoECrossEntropyConfig)
class AutoMoECrossEntropy(FairseqCriterion):
    """Label-smoothed cross-entropy (Szegedy et al. 2016) per token, plus mean router losses per layer."""

    def __init__(self, task: Any, label_smoothing: float, balance_loss: float, router_z_loss: float) -> None:
        super().__init__(task)
        self.label_smoothing = label_smoothing
        self.balance_coefficient = balance_loss
        self.z_coefficient = router_z_loss

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        """The loss summed over tokens, their number, and what is logged."""
        logits, extra = model(**sample["net_input"])
        smoothed, nll = smoothed_cross_entropy(logits, sample["target"], self.label_smoothing)
        balance, z = mean_router_losses(list(extra["routings"].values()), logits)
        num_tokens = sample["ntokens"]
        loss = smoothed
        if self.training:
            loss = loss + num_tokens * (self.balance_coefficient * balance + self.z_coefficient * z)
        return (
            loss,
            num_tokens,
            {
                "loss": loss.detach(),
                "nll_loss": nll.detach(),
                "balance_loss": balance.detach() * num_tokens,
                "z_loss": z.detach() * num_tokens,
                "ntokens": num_tokens,
                "nsentences": sample["target"].size(0),
                "sample_size": num_tokens,
            },
        )

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Means per token: losses in nats."""
        size = sum(float(log["sample_size"]) for log in logging_outputs)
        for name in ("loss", "nll_loss", "balance_loss", "z_loss"):
            total = sum(float(log[name]) for log in logging_outputs)
            metrics.log_scalar(name, total / size, size, round=4)
        metrics.log_derived("ppl", lambda meters: math.exp(min(meters["nll_loss"].avg, 50.0)))

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """All that is logged are sums over tokens."""
        return True


def mean_router_losses(routings: list[Routing], like: Tensor) -> tuple[Tensor, Tensor]:
    """Balance loss and z-loss averaged over expert layers; zeros if there are none."""
    if not routings:
        zero = like.new_zeros((), dtype=torch.float32)
        return zero, zero
    balance = torch.stack([balance_loss(routing) for routing in routings]).mean()
    return balance, torch.stack([router_z_loss(routing) for routing in routings]).mean()
