"""How well every regressor that was tried predicts architectures that it has not seen, all on the same folds.

A row is predicted by a model that has not seen it, and its interval comes from the errors on the other folds, whose
models have: a cross-conformal interval (Vovk 2015). What stands under "auto" is of the kind that is best on the other
folds, so the choice does not flatter it.

Shape suffixes: N architectures, O those outside a fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from automoe.predictor.automatic import AUTO, best_of
from automoe.predictor.calibrated import CalibratedPredictor
from automoe.predictor.calibration import Fold, HeldOut, interval_factor
from automoe.predictor.features import Described
from automoe.predictor.predictor import FloatArray, Prediction
from automoe.predictor.regressor import find_regressor
from automoe.predictor.report import FitReport

BASELINE = "depth_lookup"
"""Every predictor is reported beside it: the mean of the same decoder depth."""


def compare(predictor: CalibratedPredictor, archs: Described, values_N: FloatArray) -> dict[str, FitReport]:
    """Reports on a fitted predictor, on every regressor that it tried, and on the baseline.

    It costs one fit of each that was not chosen: the predictor's own cross-validation is used.

    Args:
        predictor: fitted to these architectures.
        archs: measured architectures, or what a table tells of them.
        values_N: their values.

    Returns:
        Reports by kind, the predictor's own first.
    """
    tried = dict(predictor.tried)
    of_all = {predictor.chosen: predictor.predict(archs).mean_N}
    if BASELINE not in tried:
        baseline = predictor.of_kind(BASELINE)
        baseline.fit_part(archs, values_N)
        tried |= baseline.tried
        of_all[BASELINE] = baseline.predict(archs).mean_N
    of_all |= {kind: _of_all(predictor, kind, archs, values_N) for kind in tried if kind not in of_all}

    def report(kinds: Mapping[str, HeldOut], stands_for: str) -> FitReport:
        prediction = _held_out(kinds, predictor.folds_tried, values_N, predictor.coverage)
        return FitReport.of(archs, values_N, prediction, of_all[stands_for])

    own = {AUTO: report(predictor.tried, predictor.chosen)} if predictor.kind == AUTO else {}
    return own | {kind: report({kind: tried[kind]}, kind) for kind in tried}


def _of_all(predictor: CalibratedPredictor, kind: str, archs: Described, values_N: FloatArray) -> FloatArray:
    """What the regressor predicts that has learnt from all architectures."""
    regressor = find_regressor(kind)
    features = predictor.features_to_learn(archs, regressor.groups).only(regressor.groups)
    return regressor.fit(features, values_N).predict(features)


def _held_out(
    tried: Mapping[str, HeldOut], folds: Sequence[Fold], values_N: FloatArray, coverage: float
) -> Prediction:
    """For each fold the predictions of the kind that is best on the others, which also calibrate its intervals."""
    mean_N, factor_N = np.empty((2, len(values_N)))
    for others, held_out in folds:
        values_O = values_N[others]
        of_others = {kind: (mean[others], spread[others]) for kind, (mean, spread) in tried.items()}
        best = best_of(of_others, values_O)
        predicted_O, spread_O = of_others[best]
        mean_N[held_out] = tried[best][0][held_out]
        factor = interval_factor(values_O, predicted_O, coverage, spread_O)
        factor_N[held_out] = factor ** tried[best][1][held_out]
    return Prediction(mean_N, mean_N / factor_N, mean_N * factor_N)
