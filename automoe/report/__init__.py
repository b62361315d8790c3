"""One self-contained HTML page about a finished search."""

from automoe.report.data import (
    BudgetLine,
    ChosenModel,
    Curve,
    FrontPoint,
    ModelRow,
    PredictorFit,
    ReportData,
    Sample,
)
from automoe.report.page import render

__all__ = [
    "BudgetLine",
    "ChosenModel",
    "Curve",
    "FrontPoint",
    "ModelRow",
    "PredictorFit",
    "ReportData",
    "Sample",
    "render",
]
