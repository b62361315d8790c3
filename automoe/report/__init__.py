"""One self-contained HTML page about a finished search."""

from automoe.report.data import (
    BudgetLine,
    ChosenModel,
    Curve,
    ExecutedFit,
    FrontPoint,
    LearningPoint,
    ModelRow,
    PredictorFit,
    QualityFit,
    ReportData,
    Sample,
    SearchTrace,
)
from automoe.report.page import render
from automoe.report.predictor_drawings import draw_all

__all__ = [
    "BudgetLine",
    "ChosenModel",
    "Curve",
    "ExecutedFit",
    "FrontPoint",
    "LearningPoint",
    "ModelRow",
    "PredictorFit",
    "QualityFit",
    "ReportData",
    "Sample",
    "SearchTrace",
    "draw_all",
    "render",
]
