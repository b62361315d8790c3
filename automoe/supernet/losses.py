"""The loss of a step: cross-entropy for the sub-network that is visited first, which teaches the others in place.

Shape suffixes: B sentences, L target length, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from automoe.nn import Decoded, distilled_cross_entropy, mean_router_losses, smoothed_cross_entropy, soft_targets
from automoe.supernet.config import SupernetConfig


class SupernetLoss(NamedTuple):
    """Losses in nats: the first three summed over the positions that are no padding, the others per token."""

    loss: Tensor
    """Mean over the sub-transformers of what each learns; carries the gradient."""
    nll: Tensor
    """Negative log-likelihood of the first, without gradient."""
    distillation: Tensor
    """Mean over the others of their distillation from the first, without gradient; 0 if there are none."""
    balance: Tensor
    """Load-balancing loss, mean over the sub-transformers and their expert layers."""
    z: Tensor
    """Router z-loss, likewise."""


def supernet_loss(
    outputs: Sequence[Decoded], target_BL: Tensor, config: SupernetConfig, smoothing: float
) -> SupernetLoss:
    """The loss of one step of the supernet's training.

    The first, in a sandwich the largest, learns from the reference. All others learn from the reference and, with the
    weight `config.distillation`, from the first, which gets no gradient from teaching (Yu & Huang 2019, section 3.2).
    On a single path there are no others.

    Args:
        outputs: what each sub-transformer of `visits` said, in their order.
        target_BL: reference ids.
        config: share and temperature of the distillation.
        smoothing: label smoothing of the cross-entropy.
    """
    first, *others = outputs
    loss, nll = smoothed_cross_entropy(first.logits_NLV, target_BL, smoothing)
    distillation = nll.new_zeros(())
    if others:
        soft_BLV = soft_targets(first.logits_NLV, config.temperature)
        losses = [
            distilled_cross_entropy(
                other.logits_NLV,
                soft_BLV,
                target_BL,
                smoothing=smoothing,
                share=config.distillation,
                temperature=config.temperature,
            )
            for other in others
        ]
        loss = (loss + sum(one.loss for one in losses)) / len(outputs)
        distillation = sum((one.distillation for one in losses), distillation) / len(others)
    routers = [mean_router_losses(list(output.routings.values()), output.logits_NLV) for output in outputs]
    balance, z = (torch.stack(parts).mean() for parts in zip(*routers, strict=True))
    return SupernetLoss(loss, nll, distillation, balance, z)
