"""`contaminated_stretches`: rows of a table in a run that were measured while something else slowed the machine.

A table is measured row after row, so what slows the machine for a while shows as a stretch of rows that take, say, a
quarter longer than their sizes explain. What the sizes explain is a linear function fitted without the rows in
question; what is left, row by row, is then cut where its level changes. The cuts are optimal under a loss that is
bounded, for a single slow row is no stretch (Fearnhead and Rigaill 2019, "Changepoint detection in the presence of
outliers"), with the levels taken from a grid.

Shape suffixes: N rows in the order of their measurement, C columns of the fit, L levels of the grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.predictor.features import SUMS, Described, Encoder, Features

FloatArray = npt.NDArray[np.float64]

MIN_ROWS = 20
"""Of fewer rows nothing is told: what is ordinary cannot be known."""
_LEAST = 0.05
"""A level that differs by less is left alone: half of that is what a machine's clock does by itself."""
_NOISES = 4.0
"""By how many times the noise of single rows the level of a stretch differs at least."""
_OUTLIER = 3.0
"""Times the noise beyond which a row counts no more for its being further away."""
_CHANGE = 3.0
"""What a change of level costs, times log N, in squares of the noise. A row is worth 9 at most, and a stretch needs
two changes, or one at either end of the table."""
_LEAST_ROWS = 5
"""Fewer slow rows in a run are outliers."""
_LEAST_NOISE = 0.005
"""Of a table without any noise; also makes the grid of levels finite."""
_ROWS_A_COLUMN = 10
"""Below this the products with the depth are left out of the fit, for they would explain the stretches too."""
_ROUNDS = 10


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Rows `first` to `last`, both included and counted from 0, that took `ratio` times as long as they should."""

    first: int
    last: int
    ratio: float
    """Median over the rows, of measured to expected value. Below 1 where the machine was faster than otherwise."""

    @property
    def rows(self) -> range:
        """The rows."""
        return range(self.first, self.last + 1)


def contaminated_stretches(described: Described, values_N: FloatArray) -> list[Stretch]:
    """Finds the stretches of rows whose level is not the ordinary one, that of the middle row.

    By how much it has to differ is four times the noise of single rows, and at least 5 %: a stretch of 10 % is found
    among rows that scatter by 2 %, and is not among rows that scatter by 5 %.

    Args:
        described: the architectures, or what a table tells of them, in the order of their measurement.
        values_N: what was measured, all positive.

    Returns:
        The stretches, in order; none of a table of fewer than `MIN_ROWS` rows.
    """
    if len(values_N) < MIN_ROWS:
        return []
    columns_NC = _columns(described)
    is_ordinary_N = np.ones(len(values_N), dtype=bool)
    stretches: list[Stretch] = []
    for _ in range(_ROUNDS):
        left_N = np.log(values_N / _fitted(columns_NC, values_N, is_ordinary_N))
        noise = max(1.4826 * float(np.median(np.abs(np.diff(left_N)))) / math.sqrt(2), _LEAST_NOISE)
        level_N = _levels(left_N, noise)
        stretches = _far_from_ordinary(left_N, level_N, math.log1p(max(_LEAST, _NOISES * noise)))
        was_ordinary_N = is_ordinary_N
        is_ordinary_N = np.abs(left_N - level_N) < _OUTLIER * noise
        for stretch in stretches:
            is_ordinary_N[stretch.rows] = False
        if np.array_equal(was_ordinary_N, is_ordinary_N):
            break
    return stretches


def without(stretches: Sequence[Stretch], count: int) -> npt.NDArray[np.int64]:
    """The rows of a table of `count` rows that lie in none of the stretches: what to learn from."""
    kept_N = np.ones(count, dtype=bool)
    for stretch in stretches:
        kept_N[stretch.rows] = False
    return np.flatnonzero(kept_N)


def _columns(described: Described) -> FloatArray:
    """What latency is linear in: a constant, features, and features times the decoder depth."""
    features = described
    if not isinstance(features, Features):
        features = Encoder.for_architectures(features, (SUMS,)).encode(features)
    z_NC = _standardised(features.x_NF)
    columns = [np.ones((len(z_NC), 1)), z_NC]
    if len(z_NC) >= _ROWS_A_COLUMN * 2 * z_NC.shape[1]:
        columns.append(z_NC * _standardised(features.depth_N[:, None]))
    return np.concatenate(columns, axis=1)


def _standardised(x_NC: npt.NDArray[Any]) -> FloatArray:
    """The columns that differ, of mean 0 and variance 1; none where no column does."""
    x_NC = x_NC[:, np.ptp(x_NC, axis=0) > 1e-9 * np.abs(x_NC).max(axis=0)]
    return np.asarray((x_NC - x_NC.mean(axis=0)) / x_NC.std(axis=0), dtype=np.float64)


def _fitted(columns_NC: FloatArray, values_N: FloatArray, rows_N: npt.NDArray[np.bool_]) -> FloatArray:
    """The least squares of the relative errors of these rows, with a little ridge; positive."""
    relative_NC = columns_NC[rows_N] * (values_N.mean() / values_N[rows_N, None])
    penalty_C = np.ones(columns_NC.shape[1])
    penalty_C[0] = 0.0
    gram_CC = relative_NC.T @ relative_NC + np.diag(penalty_C)
    fitted_N = columns_NC @ np.linalg.solve(gram_CC, relative_NC.sum(axis=0)) * values_N.mean()
    return np.maximum(fitted_N, values_N.min() / 2)


def _levels(left_N: FloatArray, noise: float) -> FloatArray:
    """The piecewise constant level: the path through the grid of least loss, by dynamic programming (Viterbi)."""
    grid_L = np.arange(left_N.min(), left_N.max() + noise, noise / 2)
    change = _CHANGE * math.log(len(left_N))
    cost_L = np.zeros(len(grid_L))
    came_from_NL = np.empty((len(left_N), len(grid_L)), dtype=np.int64)
    same_L = np.arange(len(grid_L))
    for row, left in enumerate(left_N):
        best = int(cost_L.argmin())
        stays_L = cost_L <= cost_L[best] + change
        came_from_NL[row] = np.where(stays_L, same_L, best)
        loss_L = np.minimum(((left - grid_L) / noise) ** 2, _OUTLIER**2)
        cost_L = np.where(stays_L, cost_L, cost_L[best] + change) + loss_L
    level_N = np.empty(len(left_N))
    place = int(cost_L.argmin())
    for row in range(len(left_N) - 1, -1, -1):
        level_N[row] = grid_L[place]
        place = int(came_from_NL[row, place])
    return level_N


def _far_from_ordinary(left_N: FloatArray, level_N: FloatArray, threshold: float) -> list[Stretch]:
    """Runs of levels that are all far above, or all far below, the level of most rows."""
    ordinary = float(np.median(level_N))
    side_N = np.zeros(len(left_N), dtype=np.int64)
    for first, end in _runs(level_N):
        above = float(np.median(left_N[first:end])) - ordinary
        side_N[first:end] = np.sign(above) * (abs(above) > threshold)
    return [
        Stretch(first=first, last=end - 1, ratio=math.exp(float(np.median(left_N[first:end])) - ordinary))
        for first, end in _runs(side_N)
        if side_N[first] and end - first >= _LEAST_ROWS
    ]


def _runs(value_N: npt.NDArray[Any]) -> list[tuple[int, int]]:
    """First row and end of each run of equal values."""
    cuts = [0, *(np.flatnonzero(np.diff(value_N)) + 1).tolist(), len(value_N)]
    return list(pairwise(cuts))
