"""How sure the median of a few passes is.

Shape suffixes: N values.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import median

CONFIDENCE = 0.9
"""Probability with which the interval holds the median of what is measured."""


def median_interval(values_N: Sequence[float]) -> tuple[float, float] | None:
    """The interval in which the median lies of what the values were drawn from.

    It lies between order statistics, which takes no distribution for granted: the k-th smallest and the k-th largest
    of N values hold the median with the probability 1 - 2 P(Binomial(N, 1/2) < k). Between two such intervals it is
    interpolated to `CONFIDENCE` (Hettmansperger and Sheather 1986). From eight values on a single one that was
    disturbed, by however much, cannot widen it far.

    Args:
        values_N: values that do not depend on each other, in any order.

    Returns:
        Its ends, or None for fewer than 5 values: not even all of those hold it as often.
    """
    count = len(values_N)
    ordered = sorted(values_N)
    k = sum(_coverage(count, rank) >= CONFIDENCE for rank in range(1, count // 2 + 1))
    if k == 0:
        return None
    wide, narrow = _coverage(count, k), _coverage(count, k + 1)
    share = (wide - CONFIDENCE) / (wide - narrow)
    weight = (count - k) * share / (k + (count - 2 * k) * share)  # of the narrower interval
    low = (1 - weight) * ordered[k - 1] + weight * ordered[k]
    high = (1 - weight) * ordered[-k] + weight * ordered[-k - 1]
    return low, high


def half_width(values_N: Sequence[float]) -> float | None:
    """Half the width of `median_interval` as a share of the median of the values, which are positive."""
    interval = median_interval(values_N)
    return None if interval is None else (interval[1] - interval[0]) / 2 / median(values_N)


def _coverage(count: int, rank: int) -> float:
    """Probability that the median lies between the values of this rank from below and from above."""
    return 1 - 2 * sum(comb(count, below) for below in range(rank)) / 2**count
