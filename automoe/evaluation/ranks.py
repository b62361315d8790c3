"""Rank statistics: whether one quantity puts things into the same order as another.

Shape suffixes: N things.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.errors import DataError, DependencyError


def spearman(a_N: npt.ArrayLike, b_N: npt.ArrayLike) -> float:
    """Spearman's rank correlation, -1 to 1; equal values share their mean rank.

    Args:
        a_N: values of N things.
        b_N: other values of the same things, in the same order.

    Returns:
        The correlation; 0 if all values of one side are equal, for they put nothing into order.

    Raises:
        DataError: fewer than two things, not equally many, or values that are not finite.
        DependencyError: scipy is not installed.
    """
    return _correlation("spearmanr", a_N, b_N)


def kendall_tau_b(a_N: npt.ArrayLike, b_N: npt.ArrayLike) -> float:
    """Kendall's tau-b, -1 to 1: concordant less discordant pairs, corrected for ties. As `spearman` otherwise."""
    return _correlation("kendalltau", a_N, b_N)


def _correlation(name: str, a_N: npt.ArrayLike, b_N: npt.ArrayLike) -> float:
    first_N, second_N = np.asarray(a_N, dtype=np.float64), np.asarray(b_N, dtype=np.float64)
    if first_N.shape != second_N.shape or first_N.ndim != 1:
        raise DataError(f"values of shapes {first_N.shape} and {second_N.shape} cannot be ranked against each other")
    if len(first_N) < 2:
        raise DataError("there are fewer than two values to rank")
    if not (np.isfinite(first_N).all() and np.isfinite(second_N).all()):
        raise DataError("values that are infinite or not numbers (NaN) have no rank")
    if np.ptp(first_N) == 0 or np.ptp(second_N) == 0:
        return 0.0
    return float(getattr(_scipy_stats(), name)(first_N, second_N).statistic)


def _scipy_stats() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        raise DependencyError("scipy", extra="search") from error
    return stats
