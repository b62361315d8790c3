"""Predicts what architectures cost from a few that were measured, with calibrated intervals."""

from automoe.predictor.calibrated import CalibratedPredictor, make_predictor, predictor_from_dict
from automoe.predictor.calibration import MIN_ROWS, rows_for_coverage
from automoe.predictor.config import PredictorConfig
from automoe.predictor.features import exact_features, physical_features
from automoe.predictor.predictor import Prediction, Predictor
from automoe.predictor.regressor import Regressor
from automoe.predictor.report import FitReport, fit_report

__all__ = [
    "MIN_ROWS",
    "CalibratedPredictor",
    "FitReport",
    "Prediction",
    "Predictor",
    "PredictorConfig",
    "Regressor",
    "exact_features",
    "fit_report",
    "make_predictor",
    "physical_features",
    "predictor_from_dict",
    "rows_for_coverage",
]
