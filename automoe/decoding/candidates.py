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


def check_scores(scores_NK: Float32Array) -> None:
    """Checks that a stepper's scores are numbers.

    Raises:
        AutoMoEError: one is not.
    """
    if np.isnan(scores_NK.max()):  # of numbers and NaN the highest is NaN
        raise AutoMoEError("the model's scores are not numbers (NaN)", hint=_DAMAGED)


def allowed_scores(
    scores_NK: Float32Array, tokens_NK: Int64Array, length: int, limit_N: Int64Array, min_length: int = 1
) -> Float32Array:
    """Scores of candidates, -inf for those that may not follow.

    The padding never follows; the end symbol does not follow before the least length (no translation is empty);
    once a hypothesis has reached its limit, nothing but the end symbol follows.

    Args:
        scores_NK: log probabilities of the candidates.
        tokens_NK: their tokens.
        length: tokens that the rows have so far.
        limit_N: most tokens that each row may have, its end symbol not counted.
        min_length: fewest tokens that a row may have, its end symbol not counted; a lower limit comes first.

    Raises:
        AutoMoEError: a score is not a number.
        ValueError: the stepper left out the end symbol, against its contract.
    """
    check_scores(scores_NK)
    is_eos_NK = tokens_NK == EOS
    forbidden_NK = tokens_NK == PAD
    if length < min_length:
        forbidden_NK |= is_eos_NK
    if limit_N.min() <= length:
        full_N = limit_N <= length
        forbidden_NK &= ~(full_N[:, None] & is_eos_NK)
        if not is_eos_NK[full_N].any(axis=1).all():
            raise ValueError("the stepper's candidates lack the end-of-sentence symbol")
        forbidden_NK |= full_N[:, None] & ~is_eos_NK
    return np.where(forbidden_NK, np.float32(-np.inf), scores_NK)
