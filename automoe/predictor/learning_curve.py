"""The learning curve: how many measured architectures are enough.

Shape suffixes: N architectures.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.predictor.calibration import MIN_ROWS, check_measured
from automoe.predictor.features import Described, rows_of
from automoe.predictor.predictor import Predictor

_HELD_OUT = 3
"""Rows that a size must leave to be judged by."""


@dataclass(frozen=True, kw_only=True)
class LearningPoint:
    """How well a predictor does that learnt from so many rows, on all rows that it has not seen."""

    rows: int
    repeats: int
    """Random choices of the rows that the figures are over."""
    mape: float
    """Mean absolute error in percent of the measured value; mean over the repeats."""
    mape_spread: float
    """Standard deviation over the repeats; 0 of one."""
    rmse: float
    """Root of the mean squared error, in the unit of the values; mean over the repeats."""
    rmse_spread: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def learning_curve(
    make: Callable[[], Predictor],
    archs: Described,
    values: npt.ArrayLike,
    sizes: Sequence[int],
    *,
    repeats: int = 5,
    seed: int = 1,
) -> list[LearningPoint]:
    """Learns from more and more rows of a table, and judges by the rest.

    In a repeat a larger choice of rows holds the smaller ones.

    Args:
        make: makes an unfitted predictor.
        archs: measured architectures, or what a table tells of them.
        values: their values.
        sizes: numbers of rows to learn from; those that leave fewer than 3 rows to judge by, or learn from fewer than
            `MIN_ROWS`, are left out.
        repeats: random choices of the rows.
        seed: of the choices.

    Returns:
        A point for each size, in ascending order.

    Raises:
        AutoMoEError: there is too little to learn from.
    """
    values_N = check_measured(archs, values)
    points = []
    for rows in sorted({size for size in sizes if MIN_ROWS <= size <= len(archs) - _HELD_OUT}):
        mape, rmse = [], []
        for repeat in range(repeats):
            order = np.random.default_rng([seed, zlib.crc32(b"learning curve"), repeat]).permutation(len(archs))
            known, rest = np.sort(order[:rows]), np.sort(order[rows:])
            predictor = make()
            predictor.fit_part(rows_of(archs, known), values_N[known])
            mean_N = predictor.predict(rows_of(archs, rest)).mean_N
            mape.append(100 * np.mean(np.abs(mean_N / values_N[rest] - 1)))
            rmse.append(np.sqrt(np.mean((mean_N - values_N[rest]) ** 2)))
        points.append(
            LearningPoint(
                rows=rows,
                repeats=repeats,
                mape=float(np.mean(mape)),
                mape_spread=float(np.std(mape)),
                rmse=float(np.mean(rmse)),
                rmse_spread=float(np.std(rmse)),
            )
        )
    return points
