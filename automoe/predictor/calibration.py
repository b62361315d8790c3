"""How far off predictions are, found by cross-validation, and the interval that follows.

A predictor's errors on what it learnt from say little. So the architectures are split into folds, each is predicted
by a model that has not seen its fold, and the ratios of measured to predicted value are kept. The interval is
[mean / factor, mean * factor] with the conformal quantile of the ratios: split conformal prediction with
cross-validated residuals around the model of all data, a close relative of the jackknife+ and CV+ (Barber et al.
2021). Ratios, since a latency of 100 ms is not known to the same millisecond as one of 10 ms. Where a regressor knows
a spread, the factor is taken to its power: normalised conformal prediction (Papadopoulos et al. 2008).

A coverage takes a number of rows (`rows_for_coverage`): of n ratios the largest covers n / (n + 1). With fewer rows
nothing can be promised, and the interval is made wider than any error that was seen: see `interval_factor`.

Shape suffixes: N architectures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from automoe.errors import AutoMoEError
from automoe.predictor.features import Described, Features
from automoe.predictor.predictor import FloatArray
from automoe.predictor.regressor import Regressor, spread_of

MIN_ROWS = 3
"""Measured architectures that it takes at least: one to hold out, and two of which one calibrates the other."""
_WIDENED = 2.0
"""Power of the largest ratio where there are too few for the coverage. Of normal errors, 3 ratios cover 93 %."""
_ROUNDING = 1e-9
"""0.9 * 10 is a little more than 9 in floating point."""


def rows_for_coverage(coverage: float) -> int:
    """Measured architectures that it takes to promise this coverage: 9 for 0.9, 19 for 0.95."""
    return max(1, math.ceil(coverage / (1 - coverage) - _ROUNDING))


def check_measured(archs: Described, values: npt.ArrayLike) -> FloatArray:
    """Checks that there is something to learn from.

    Returns:
        The values, as an array.

    Raises:
        AutoMoEError: fewer than `MIN_ROWS` rows, values that are not positive, or all the same.
    """
    values_N = np.asarray(values, dtype=np.float64)
    if values_N.shape != (len(archs),):
        raise ValueError(f"{len(archs)} architectures, but values of shape {values_N.shape}")
    if len(archs) < MIN_ROWS:
        raise AutoMoEError(
            f"there are {len(archs)} measured architecture(s), too few to learn from: it takes at least {MIN_ROWS}",
            hint="Measure more (profile.architectures); a space that has no more is too small to need a search",
        )
    bad_N = ~(np.isfinite(values_N) & (values_N > 0))
    if bad_N.any():
        index = int(bad_N.argmax())
        which = f"row {index + 1}" if isinstance(archs, Features) else f"architecture {archs[index].digest}"
        raise AutoMoEError(
            f"the value of {which} is not a positive number",
            value=float(values_N[index]),
            key="value",
        )
    if np.ptp(values_N) == 0:
        raise AutoMoEError(
            f"all {len(archs)} measured values are {values_N[0]:g}: there is nothing to predict",
            hint="Measure architectures of different sizes; the table or the space is degenerate",
        )
    return values_N


Fold = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Rows that are learnt from, and rows that are held out."""
HeldOut = tuple[FloatArray, FloatArray]
"""Predictions and spreads of all rows, each by a model that has not seen its row."""


def folds_of(count: int, folds: int, rng: np.random.Generator) -> Iterator[Fold]:
    """Splits 0 to count - 1 at random into parts of (almost) equal size; yields (the others, the part) of each.

    There are `folds` parts, or `count` of one row each if that is fewer.
    """
    parts = np.array_split(rng.permutation(count), min(folds, count))
    for held_out in parts:
        yield np.setdiff1d(np.arange(count), held_out), np.sort(held_out)


def cross_validated(
    regressor: type[Regressor], features: Features, values_N: FloatArray, folds: Sequence[Fold]
) -> HeldOut:
    """Predicts every architecture by a model that has not seen it.

    Args:
        regressor: what learns.
        features: the architectures.
        values_N: their values.
        folds: parts that are held out in turn; see `folds_of`.

    Returns:
        The predictions and the spreads, by architecture.

    Raises:
        ValueError: the regressor predicts what is not positive, or has no positive spread.
    """
    predicted_N, spread_N = np.empty((2, len(features)))
    for others, held_out in folds:
        fitted = regressor.fit(features.take(others), values_N[others])
        predicted_N[held_out] = fitted.predict(features.take(held_out))
        spread_N[held_out] = spread_of(fitted, features.take(held_out))
    if not all((np.isfinite(each_N) & (each_N > 0)).all() for each_N in (predicted_N, spread_N)):
        raise ValueError(f"{regressor.__name__} predicts a value or a spread that is not a positive number")
    return predicted_N, spread_N


def interval_factor(
    values_N: FloatArray, predicted_N: FloatArray, coverage: float, spread_N: FloatArray | float = 1.0
) -> float:
    """The factor >= 1 such that the value is within [predicted / factor, predicted * factor], with this coverage.

    Each value's own factor is this one to the power of its spread.

    With fewer values than `rows_for_coverage` it is the square of the largest ratio: an error twice as large (in
    logarithms) as any that was seen. That promises no coverage; `fit_report` finds out what it comes to.

    Args:
        values_N: measured values, positive.
        predicted_N: predictions by models that have not seen them, positive.
        coverage: share of new architectures whose value shall lie in the interval.
        spread_N: how large each error may be relative to the others.
    """
    errors_N = np.sort(np.abs(np.log(values_N / predicted_N)) / spread_N)
    if len(errors_N) < rows_for_coverage(coverage):
        return float(np.exp(_WIDENED * errors_N[-1]))
    rank = math.ceil((len(errors_N) + 1) * coverage - _ROUNDING)
    return float(np.exp(errors_N[max(1, min(rank, len(errors_N))) - 1]))
