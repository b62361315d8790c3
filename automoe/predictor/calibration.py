"""How far off predictions are, found by cross-validation, and the interval that follows.

A predictor's errors on what it learnt from say little. So the architectures are split into folds, each is predicted
by a model that has not seen its fold, and the ratios of measured to predicted value are kept. The interval is
[mean / factor, mean * factor] with the conformal quantile of the ratios: split conformal prediction with
cross-validated residuals around the model of all data, a close relative of the jackknife+ and CV+ (Barber et al.
2021). Ratios, since a latency of 100 ms is not known to the same millisecond as one of 10 ms.

Shape suffixes: N architectures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from automoe.errors import AutoMoEError
from automoe.predictor.predictor import FloatArray
from automoe.space import Architecture

_HINT = "Measure more architectures (profile.architectures)"


def check_measured(archs: Sequence[Architecture], values: npt.ArrayLike, folds: int) -> FloatArray:
    """Checks that there is something to learn from.

    Returns:
        The values, as an array.

    Raises:
        AutoMoEError: too few rows for the folds, values that are not positive, or all the same.
    """
    values_N = np.asarray(values, dtype=np.float64)
    if values_N.shape != (len(archs),):
        raise ValueError(f"{len(archs)} architectures, but values of shape {values_N.shape}")
    if len(archs) < folds:
        raise AutoMoEError(
            f"there are {len(archs)} measured architecture(s), too few for {folds} folds (predictor.folds)",
            hint=_HINT,
        )
    bad_N = ~(np.isfinite(values_N) & (values_N > 0))
    if bad_N.any():
        index = int(bad_N.argmax())
        raise AutoMoEError(
            f"the value of architecture {archs[index].digest} is not a positive number",
            value=float(values_N[index]),
            key="value",
        )
    if np.ptp(values_N) == 0:
        raise AutoMoEError(
            f"all {len(archs)} measured values are {values_N[0]:g}: there is nothing to predict",
            hint="Measure architectures of different sizes; the table or the space is degenerate",
        )
    return values_N


def folds_of(count: int, folds: int, rng: np.random.Generator) -> Iterator[tuple[npt.NDArray[np.int64], ...]]:
    """Splits 0 to count - 1 at random into parts of (almost) equal size; yields (the others, the part) of each."""
    parts = np.array_split(rng.permutation(count), folds)
    for held_out in parts:
        yield np.setdiff1d(np.arange(count), held_out), np.sort(held_out)


def cross_validated(
    fit_predict: Callable[[Sequence[Architecture], FloatArray, Sequence[Architecture]], FloatArray],
    archs: Sequence[Architecture],
    values_N: FloatArray,
    folds: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Predicts every architecture by a model that has not seen it.

    Args:
        fit_predict: learns from the first two arguments and predicts the third.
        archs: the architectures.
        values_N: their values.
        folds: parts that are held out in turn.
        rng: splits the parts.
    """
    predicted_N = np.empty(len(archs))
    for others, held_out in folds_of(len(archs), folds, rng):
        predicted_N[held_out] = fit_predict(
            [archs[i] for i in others], values_N[others], [archs[i] for i in held_out]
        )
    return predicted_N


def interval_factor(values_N: FloatArray, predicted_N: FloatArray, coverage: float) -> float:
    """The factor >= 1 such that the value is within [predicted / factor, predicted * factor], with this coverage.

    Args:
        values_N: measured values, positive.
        predicted_N: predictions by models that have not seen them, positive.
        coverage: share of new architectures whose value shall lie in the interval.

    Raises:
        AutoMoEError: too few values for this coverage: of n values the largest error covers n / (n + 1).
    """
    errors_N = np.sort(np.abs(np.log(values_N / predicted_N)))
    rank = math.ceil((len(errors_N) + 1) * coverage - 1e-9)  # 0.9 * 10 is a little more than 9 in floating point
    if rank > len(errors_N):
        least = math.ceil(coverage / (1 - coverage) - 1e-9)
        raise AutoMoEError(
            f"{len(errors_N)} measured architectures are too few for intervals of coverage {coverage:g}: "
            f"it takes at least {least}",
            hint=f"{_HINT}, or lower predictor.coverage",
        )
    return float(np.exp(errors_N[rank - 1]))
