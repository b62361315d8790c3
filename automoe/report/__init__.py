"""One self-contained HTML page about a finished search."""

from automoe.report.data import (
    BudgetLine,
    ChosenModel,
    Curve,
    FrontPoint,
    ModelRow,
    PredictorFit,
    QualityFit,
    ReportData,
    Sample,
    SearchTrace,
)
from automoe.report.page import render

__all__ = [
    "BudgetLine",
    "ChosenModel",
    "Curve",
    "FrontPoint",
    "ModelRow",
    "PredictorFit",
    "QualityFit",
    "ReportData",
    "Sample",
    "SearchTrace",
    "render",
]
