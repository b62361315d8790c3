"""Cross-entropy with label smoothing (Szegedy et al. 2016), at half the cost of its composition from parts.

The output layer of a small translation model is a third of its training time, so its loss is computed in
one pass forward and one backward.

Shape suffixes: P target positions, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from automoe.decoding.symbols import PAD


class _SmoothedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits_PV: Tensor, target_P: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        log_probs_PV = logits_PV.log_softmax(dim=1)
        keep_P = target_P != PAD
        nll = -(log_probs_PV.gather(1, target_P[:, None])[:, 0] * keep_P).sum()
        uniform = -(log_probs_PV.mean(dim=1) * keep_P).sum()
        ctx.save_for_backward(log_probs_PV, target_P)
        ctx.smoothing = smoothing
        ctx.mark_non_differentiable(nll)
        return (1.0 - smoothing) * nll + smoothing * uniform, nll

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _grad_nll: Tensor) -> tuple[Tensor, None, None]:
        log_probs_PV, target_P = ctx.saved_tensors
        grad_PV = log_probs_PV.exp().sub_(ctx.smoothing / log_probs_PV.shape[1])
        rest = grad_PV.new_full((), ctx.smoothing - 1.0)
        grad_PV.scatter_add_(1, target_P[:, None], rest.expand(len(target_P), 1))
        return grad_PV.mul_(((target_P != PAD) * grad)[:, None]), None, None


def smoothed_cross_entropy(logits_V: Tensor, target: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy summed over the positions that are no padding, in at least float32.

    Args:
        logits_V: scores, vocabulary on the last axis.
        target: reference ids, in the shape of the other axes.
        smoothing: the target distribution is (1 - smoothing) on the reference plus smoothing / V on all.

    Returns:
        The smoothed loss, and the plain negative log-likelihood without gradient; both in nats.
    """
    logits_PV = logits_V.reshape(-1, logits_V.shape[-1])
    loss, nll = _SmoothedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        logits_PV.to(torch.promote_types(logits_PV.dtype, torch.float32)), target.reshape(-1), smoothing
    )
    return loss, nll
