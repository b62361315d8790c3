"""A predictor's `fit.json` as the report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automoe.report.data import LearningPoint, PredictorFit

_METRICS = ("rmse", "mape", "spearman", "kendall", "spearman_within_depth", "coverage")


def predictor_shown(fit: Mapping[str, Any]) -> PredictorFit:
    """The values of the figures, of the table and of the warnings.

    Args:
        fit: the content of `fit.json`.
    """
    reports = fit["reports"]
    own = reports[fit["kind"]]
    return PredictorFit(
        name=fit["kind"],
        chosen=fit["chosen"],
        measured_ms=own["measured"],
        predicted_ms=own["predicted"],
        lower_ms=own["lower"],
        upper_ms=own["upper"],
        metrics={
            kind: {metric: report[metric] for metric in _METRICS if report[metric] is not None}
            for kind, report in reports.items()
        },
        errors_percent={kind: report["mape"] for kind, report in reports.items()},
        noise_percent=fit["noise_percent"],
        learning_curve=[
            LearningPoint(rows=point["rows"], error=point["mape"], spread=point["mape_spread"])
            for point in fit["learning_curve"]
        ],
        warnings=fit["warnings"],
    )
