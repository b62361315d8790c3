"""Word-level knowledge distillation (Hinton et al. 2015; Kim & Rush 2016, section 3.1), beside the cross-entropy.

The student learns each target position's distribution from a teacher. Like `cross_entropy.py` the loss is
computed in one pass forward and one backward: at temperature 1 distillation and cross-entropy share the
student's softmax, so that both cost little more than one.

Shape suffixes: P target positions, V vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from automoe.decoding.symbols import PAD


class DistilledLoss(NamedTuple):
    """Losses in nats, each summed over the positions that are no padding."""

    loss: Tensor
    """`(1 - share)` times the smoothed cross-entropy plus `share` times the distillation; carries the gradient."""
    nll: Tensor
    """Negative log-likelihood of the reference, without gradient."""
    distillation: Tensor
    """Cross-entropy against the teacher times the squared temperature, without gradient."""


class _DistilledCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits_PV: Tensor,
        teacher_PV: Tensor,
        target_P: Tensor,
        smoothing: float,
        share: float,
        temperature: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        keep_P = target_P != PAD
        log_probs_PV = logits_PV.log_softmax(dim=1)
        nll = -(log_probs_PV.gather(1, target_P[:, None])[:, 0] * keep_P).sum()
        uniform = -(log_probs_PV.mean(dim=1) * keep_P).sum() if smoothing else nll.new_zeros(())
        cool_PV = log_probs_PV if temperature == 1 else (logits_PV / temperature).log_softmax(dim=1)
        distillation = -(temperature**2) * (torch.linalg.vecdot(teacher_PV, cool_PV) * keep_P).sum()
        ctx.save_for_backward(log_probs_PV, cool_PV, teacher_PV, target_P)
        ctx.smoothing, ctx.share, ctx.temperature = smoothing, share, temperature
        ctx.mark_non_differentiable(nll, distillation)
        smoothed = (1.0 - smoothing) * nll + smoothing * uniform
        return (1.0 - share) * smoothed + share * distillation, nll, distillation

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        log_probs_PV, cool_PV, teacher_PV, target_P = ctx.saved_tensors
        share, smoothing, temperature = ctx.share, ctx.smoothing, ctx.temperature
        grad_PV = log_probs_PV.exp()
        if temperature != 1:
            grad_PV.mul_(1.0 - share).add_(cool_PV.exp(), alpha=share * temperature)
        grad_PV.sub_(teacher_PV, alpha=share * temperature)
        if share < 1:
            if smoothing:
                grad_PV.sub_((1.0 - share) * smoothing / grad_PV.shape[1])
            rest = grad_PV.new_full((), (1.0 - share) * (smoothing - 1.0))
            grad_PV.scatter_add_(1, target_P[:, None], rest.expand(len(target_P), 1))
        return grad_PV.mul_(((target_P != PAD) * grad)[:, None]), None, None, None, None, None


@torch.no_grad()
def soft_targets(logits_V: Tensor, temperature: float) -> Tensor:
    """What a teacher teaches: the softmax of its scores at a temperature, in at least float32, without gradient."""
    dtype = torch.promote_types(logits_V.dtype, torch.float32)
    return (logits_V.to(dtype) if temperature == 1 else logits_V.to(dtype) / temperature).softmax(dim=-1)


def distilled_cross_entropy(
    logits_V: Tensor,
    soft_targets_V: Tensor,
    target: Tensor,
    *,
    smoothing: float,
    share: float,
    temperature: float = 1.0,
) -> DistilledLoss:
    """Smoothed cross-entropy on the reference and distillation from a teacher, weighted.

    Args:
        logits_V: scores of the student, vocabulary on the last axis.
        soft_targets_V: the teacher's `soft_targets` at the same temperature, in the same shape.
        target: reference ids, in the shape of the other axes.
        smoothing: of the cross-entropy, see `smoothed_cross_entropy`.
        share: weight of the distillation; the cross-entropy has the rest.
        temperature: divides the student's scores; the loss is multiplied by its square, so that gradients keep
            their size (Hinton et al. 2015, section 2).
    """
    num_words = logits_V.shape[-1]
    dtype = torch.promote_types(logits_V.dtype, torch.float32)
    losses = _DistilledCrossEntropy.apply(  # type: ignore[no-untyped-call]
        logits_V.reshape(-1, num_words).to(dtype),
        soft_targets_V.reshape(-1, num_words).detach(),
        target.reshape(-1),
        smoothing,
        share,
        temperature,
    )
    return DistilledLoss(*losses)


def word_distillation(logits_V: Tensor, teacher_logits_V: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    """The distillation alone: cross-entropy against the teacher's softmax, times the squared temperature.

    Args:
        logits_V: scores of the student, vocabulary on the last axis.
        teacher_logits_V: scores of the teacher; they get no gradient.
        target: reference ids, which only tell paddings.
        temperature: divides both scores.

    Returns:
        The sum over the positions that are no padding, in nats.
    """
    soft_V = soft_targets(teacher_logits_V, temperature)
    return distilled_cross_entropy(logits_V, soft_V, target, smoothing=0.0, share=1.0, temperature=temperature).loss
