"""Predicts what architectures cost from a few that were measured, with calibrated intervals."""

from automoe.predictor.calibrated import CalibratedPredictor, make_predictor, predictor_from_dict
from automoe.predictor.calibration import MIN_ROWS, rows_for_coverage
from automoe.predictor.config import PredictorConfig
from automoe.predictor.features import Described, Features
from automoe.predictor.predictor import Prediction, Predictor
from automoe.predictor.regressor import FittedRegressor, Regressor
from automoe.predictor.report import FitReport, fit_report

__all__ = [
    "MIN_ROWS",
    "CalibratedPredictor",
    "Described",
    "Features",
    "FitReport",
    "FittedRegressor",
    "Prediction",
    "Predictor",
    "PredictorConfig",
    "Regressor",
    "fit_report",
    "make_predictor",
    "predictor_from_dict",
    "rows_for_coverage",
]
