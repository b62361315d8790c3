"""The loss of a student: the reference and the teacher, weighted.

Shape suffixes: B sentences, L target length, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from automoe.distill.config import DistillConfig
from automoe.nn import DistilledLoss, distilled_cross_entropy, smoothed_cross_entropy, soft_targets


def distillation_loss(
    logits_BLV: Tensor,
    teacher_logits_BLV: Tensor | None,
    target_BL: Tensor,
    config: DistillConfig,
    smoothing: float,
) -> DistilledLoss:
    """`(1 - share)` times the smoothed cross-entropy plus `share` times the word-level distillation.

    Args:
        logits_BLV: scores of the student.
        teacher_logits_BLV: scores of the teacher; they get no gradient. None where its share is 0: it is not asked,
            and the loss is the smoothed cross-entropy itself.
        target_BL: reference ids.
        config: share and temperature.
        smoothing: label smoothing of the cross-entropy.
    """
    if teacher_logits_BLV is None:
        assert config.share == 0, "only then the teacher may be left out"
        loss, nll = smoothed_cross_entropy(logits_BLV, target_BL, smoothing)
        return DistilledLoss(loss, nll, torch.zeros_like(nll))
    return distilled_cross_entropy(
        logits_BLV,
        soft_targets(teacher_logits_BLV, config.temperature),
        target_BL,
        smoothing=smoothing,
        share=config.share,
        temperature=config.temperature,
    )
