"""The loss of a student: the reference and the teacher, weighted.

Shape suffixes: B sentences, L target length, V vocabulary.
"""

from __future__ import annotations

from torch import Tensor

from automoe.distill.config import DistillConfig
from automoe.nn import DistilledLoss, distilled_cross_entropy, soft_targets


def distillation_loss(
    logits_BLV: Tensor, teacher_logits_BLV: Tensor, target_BL: Tensor, config: DistillConfig, smoothing: float
) -> DistilledLoss:
    """`(1 - share)` times the smoothed cross-entropy plus `share` times the word-level distillation.

    Args:
        logits_BLV: scores of the student.
        teacher_logits_BLV: scores of the teacher; they get no gradient.
        target_BL: reference ids.
        config: share and temperature.
        smoothing: label smoothing of the cross-entropy.
    """
    return distilled_cross_entropy(
        logits_BLV,
        soft_targets(teacher_logits_BLV, config.temperature),
        target_BL,
        smoothing=smoothing,
        share=config.share,
        temperature=config.temperature,
    )
