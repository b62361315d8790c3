"""Kind "auto": the regressor that predicts held-out rows best.

Shape suffixes: N architectures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from automoe.predictor.calibration import Fold, HeldOut, cross_validated
from automoe.predictor.features import BASE, SUMS, Features
from automoe.predictor.predictor import FloatArray
from automoe.predictor.regressor import find_regressor

AUTO = "auto"
AUTO_GROUPS = (BASE, SUMS)
"""All groups that a candidate wants."""
CANDIDATES = ("depth_lookup", "ridge", "polynomial", "boosting")
"""The regressors that are tried, the simplest first: of equals it is taken."""
TRANSFER = "transfer"
"""Tried where there is another device to start from."""
LEAST_ROWS = {"boosting": 100}
"""Rows below which a candidate is not tried: trees can split few rows hardly, and take the longest."""


def candidates(features: Features) -> list[str]:
    """The regressors that are tried on such a table."""
    kinds = [kind for kind in CANDIDATES if len(features) >= LEAST_ROWS.get(kind, 0)]
    return [*kinds, TRANSFER] if BASE in features.groups else kinds


def choose_kind(features: Features, values_N: FloatArray, folds: Sequence[Fold]) -> tuple[str, dict[str, HeldOut]]:
    """Cross-validates all candidates on the rows that are learnt from, and takes the best; see `best_of`.

    Args:
        features: the architectures, in all groups that the candidates want.
        values_N: their values.
        folds: parts that are held out in turn.

    Returns:
        Its name, and what each candidate predicted of the held-out rows: what calibrates the intervals.
    """
    tried = {}
    for kind in candidates(features):
        regressor = find_regressor(kind)
        tried[kind] = cross_validated(regressor, features.only(regressor.groups), values_N, folds)
    return best_of(tried, values_N), tried


def best_of(tried: Mapping[str, HeldOut], values_N: FloatArray) -> str:
    """The regressor whose worse figure is nearest to the best figure of all.

    The figures are the root of the mean squared error and the mean absolute relative error: a large error counts in
    one, a large share of errors in the other. Of equals it is the first.
    """
    rmse = {kind: float(np.sqrt(np.mean((mean_N - values_N) ** 2))) for kind, (mean_N, _) in tried.items()}
    mape = {kind: float(np.mean(np.abs(mean_N / values_N - 1))) for kind, (mean_N, _) in tried.items()}
    least_rmse, least_mape = min(rmse.values()), min(mape.values())
    # Products, not quotients: an error of 0 divides nothing. It makes all products 0, and then decides by itself.
    return min(tried, key=lambda kind: (max(rmse[kind] * least_mape, mape[kind] * least_rmse), mape[kind]))
