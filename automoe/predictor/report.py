"""`FitReport`: how well a predictor does on architectures that it has not seen.

Shape suffixes: N architectures.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.evaluation.ranks import kendall_tau_b, spearman
from automoe.predictor.calibration import check_measured, folds_of
from automoe.predictor.features import Described, Features, depths_of, rows_of
from automoe.predictor.predictor import FloatArray, Prediction, Predictor

_MIN_ROWS_OF_DEPTH = 3
"""Rows of a depth below which their order says nothing."""


@dataclass(frozen=True, kw_only=True)
class FitReport:
    """Cross-validated predictions, row by row, and what they amount to."""

    digests: list[str]
    """Digest of each architecture; none for a table without architectures."""
    decoder_layers: list[int]
    """Decoder depth of each architecture."""
    measured: list[float]
    predicted: list[float]
    """By a predictor that has not seen the row, as lower and upper."""
    lower: list[float]
    upper: list[float]
    rmse: float
    """Root of the mean squared error, in the unit of the values."""
    mape: float
    """Mean absolute error in percent of the measured value."""
    spearman: float
    """Rank correlation of predicted and measured values."""
    kendall: float
    """Kendall's tau-b of predicted and measured values."""
    spearman_within_depth: float | None
    """The same among architectures of equal decoder depth, averaged over the depths by their rows: 0 for a depth
    in which the predictor tells no architectures apart; None if no depth has 3 rows."""
    coverage: float
    """Share of the measured values that were found in their interval, whatever the predictor was asked for."""

    @classmethod
    def of(
        cls,
        archs: Described,
        values_N: FloatArray,
        held_out: Prediction,
        of_all_N: FloatArray,
    ) -> FitReport:
        """Figures of predictions.

        Args:
            archs: measured architectures, or what a table tells of them.
            values_N: their values.
            held_out: what was predicted of each by a model that has not seen it.
            of_all_N: what one model that has seen all predicts: it says which architectures are told apart.
        """
        mean_N, lower_N, upper_N = held_out.mean_N, held_out.lower_N, held_out.upper_N
        depth_N = depths_of(archs)
        return cls(
            digests=[] if isinstance(archs, Features) else [arch.digest for arch in archs],
            decoder_layers=depth_N.tolist(),
            measured=values_N.tolist(),
            predicted=mean_N.tolist(),
            lower=lower_N.tolist(),
            upper=upper_N.tolist(),
            rmse=float(np.sqrt(np.mean((mean_N - values_N) ** 2))),
            mape=float(100 * np.mean(np.abs(mean_N / values_N - 1))),
            spearman=spearman(values_N, mean_N),
            kendall=kendall_tau_b(values_N, mean_N),
            spearman_within_depth=_within_depth(depth_N, values_N, mean_N, of_all_N),
            coverage=float(np.mean((lower_N <= values_N) & (values_N <= upper_N))),
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def fit_report(
    make: Callable[[], Predictor], archs: Described, values: npt.ArrayLike, folds: int, seed: int
) -> FitReport:
    """Cross-validates a predictor, its calibration included: intervals too come from the other folds alone.

    Args:
        make: makes an unfitted predictor.
        archs: measured architectures, or what a table tells of them.
        values: their values.
        folds: parts that are held out in turn, at most as many as architectures.
        seed: splits the parts.

    Raises:
        AutoMoEError: there is too little to learn from: fewer than `MIN_ROWS` architectures, or equal values.
    """
    values_N = check_measured(archs, values)
    rng = np.random.default_rng([seed, zlib.crc32(b"fit report"), len(archs)])
    mean_N, lower_N, upper_N = np.empty((3, len(archs)))
    for others, held_out in folds_of(len(archs), folds, rng):
        fitted = _fitted(make, rows_of(archs, others), values_N[others])
        prediction = fitted.predict(rows_of(archs, held_out))
        mean_N[held_out], lower_N[held_out] = prediction.mean_N, prediction.lower_N
        upper_N[held_out] = prediction.upper_N
    of_all_N = _fitted(make, archs, values_N).predict(archs).mean_N
    return FitReport.of(archs, values_N, Prediction(mean_N, lower_N, upper_N), of_all_N)


def _fitted(make: Callable[[], Predictor], archs: Described, values_N: FloatArray) -> Predictor:
    predictor = make()
    predictor.fit_part(archs, values_N)
    return predictor


def _within_depth(
    depth_N: npt.NDArray[np.int64], values_N: FloatArray, held_out_N: FloatArray, of_all_N: FloatArray
) -> float | None:
    total, rows = 0.0, 0
    for depth in np.unique(depth_N):
        here_N = depth_N == depth
        count = int(here_N.sum())
        if count < _MIN_ROWS_OF_DEPTH:
            continue
        rows += count
        # A mean by depth differs between folds, and is the lower the higher the value that was held out: an order
        # that is none. What one model tells apart decides.
        if np.ptp(of_all_N[here_N]) > 0:
            total += count * spearman(values_N[here_N], held_out_N[here_N])
    return total / rows if rows else None
