"""What may follow a hypothesis: the rules that beam and greedy search share.

Shape suffixes: N hypotheses (rows), K candidates per row.
"""

from __future__ import annotations

import numpy as np

from automoe.decoding.stepper import Float32Array, Int64Array
from automoe.decoding.symbols import EOS, PAD
from automoe.errors import AutoMoEError

SPARE_CANDIDATES = 2
"""Candidates of a row to ask for beyond those that may go on: one may be the padding, one the end symbol."""

_DAMAGED = "Its weights are damaged, or its training diverged"


def no_translation() -> AutoMoEError:
    """The error for a sentence of which the model rules out every translation (log probability -inf)."""
    return AutoMoEError("the model rules out every translation of a sentence", hint=_DAMAGED)


def allowed_scores(scores_NK: Float32Array, tokens_NK: Int64Array, length: int, limit_N: Int64Array) -> Float32Array:
    """Scores of candidates, -inf for those that may not follow.

    The padding never follows; the end symbol does not follow at once (no translation is empty); once a
    hypothesis has reached its limit, nothing but the end symbol follows.

    Args:
        scores_NK: log probabilities of the candidates.
        tokens_NK: their tokens.
        length: tokens that the rows have so far.
        limit_N: most tokens that each row may have, its end symbol not counted.

    Raises:
        AutoMoEError: a score is not a number.
        ValueError: the stepper left out the end symbol, against its contract.
    """
    if np.isnan(scores_NK).any():
        raise AutoMoEError("the model's scores are not numbers (NaN)", hint=_DAMAGED)
    is_eos_NK = tokens_NK == EOS
    forbidden_NK = tokens_NK == PAD
    if length == 0:
        forbidden_NK |= is_eos_NK
    full_N = limit_N <= length
    if full_N.any():
        if not is_eos_NK[full_N].any(axis=1).all():
            raise ValueError("the stepper's candidates lack the end-of-sentence symbol")
        forbidden_NK |= full_N[:, None] & ~is_eos_NK
    return np.where(forbidden_NK, np.float32(-np.inf), scores_NK)
