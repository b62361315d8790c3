"""What a predictor learnt from a table, and how well: `predictor.json` and `fit.json` of the stage `predictor`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from automoe.files import write_json
from automoe.pipeline.files import FIT, PREDICTOR_FILE
from automoe.pipeline.learnable import Learnable
from automoe.predictor import CalibratedPredictor, PredictorConfig, make_predictor, rows_for_coverage
from automoe.predictor.comparison import BASELINE, compare
from automoe.predictor.learning_curve import learning_curve
from automoe.progress import Progress

_FEWEST, _MOST_SHARE = 12, 0.8
"""Rows that the learning curve begins with, and the share of the table that it ends with; the others judge."""
_ENOUGH = 400
"""Rows beyond which more teach little, and take long."""
_REPEATS = 3
_CURVE_FOLDS = 2
"""The curve shows no intervals, so folds need only choose the kind."""


def learn(
    table: Learnable, config: PredictorConfig, seed: int, base: CalibratedPredictor | None = None
) -> tuple[CalibratedPredictor, dict[str, Any]]:
    """Fits a predictor and finds out how well it does.

    Args:
        table: what was measured.
        config: the regressor, and how it is calibrated.
        seed: of the folds and of the learning curve.
        base: the predictor of another device.

    Returns:
        The predictor, and the content of `fit.json`.

    Raises:
        AutoMoEError: there is too little to learn from.
    """
    archs, values_N = table.described, table.latency_ms_N
    with Progress("learning", total=3, unit="step") as progress:
        predictor = make_predictor(config.kind, config.coverage, folds=config.folds, seed=seed, base=base)
        predictor.fit(archs, values_N)
        progress.advance(note=predictor.chosen)
        reports = {kind: report.to_dict() for kind, report in compare(predictor, archs, values_N).items()}
        progress.advance(note="learning curve")

        def make() -> CalibratedPredictor:
            return make_predictor(config.kind, config.coverage, folds=_CURVE_FOLDS, seed=seed, base=base)

        sizes = curve_sizes(len(values_N))
        curve = learning_curve(make, archs, values_N, sizes, repeats=_REPEATS, seed=seed) if sizes else ()
        progress.advance()
    fit = {
        "table": table.label,
        "rows": len(values_N),
        "kind": config.kind,
        "chosen": predictor.chosen,
        "coverage": config.coverage,
        "base": None if base is None else base.chosen,
        "reports": reports,
        "noise_percent": table.noise_percent,
        "learning_curve": [point.to_dict() for point in curve],
        "warnings": [*table.flaws, *_doubts(reports, predictor, len(values_N))],
    }
    return predictor, fit


def write_fit(out: Path, predictor: CalibratedPredictor, fit: dict[str, Any]) -> None:
    """Writes both files."""
    write_json(out / PREDICTOR_FILE, predictor.to_dict())
    write_json(out / FIT, fit)


def curve_sizes(count: int) -> list[int]:
    """How many of `count` rows the learning curve learns from, point by point: 12, 24, 48, ..., four fifths of all.

    It ends at 400 at the latest; of fewer than 15 rows there is none.
    """
    most = min(int(_MOST_SHARE * count), _ENOUGH)
    sizes = []
    size = _FEWEST
    while size <= most:
        sizes.append(size)
        size *= 2
    if sizes and most >= 1.3 * sizes[-1]:
        sizes.append(most)
    return sizes


def _doubts(reports: dict[str, Any], predictor: CalibratedPredictor, rows: int) -> Sequence[str]:
    """What speaks against the predictor."""
    doubts = []
    if rows < (needed := rows_for_coverage(predictor.coverage)):
        doubts.append(
            f"{rows} rows cannot promise intervals that hold {100 * predictor.coverage:g} % of the architectures: it "
            f"takes {needed}; the intervals are twice as wide as the largest error, and held "
            f"{100 * reports[predictor.kind]['coverage']:.0f} %"
        )
    own, lookup = reports[predictor.kind], reports[BASELINE]
    if predictor.chosen != BASELINE and own["rmse"] > lookup["rmse"] and own["mape"] > lookup["mape"]:
        doubts.append(
            f"the lookup by decoder depth predicts this table better than {predictor.kind}: set "
            f"predictor.kind={BASELINE} or predictor.kind=auto, or measure more"
        )
    return doubts
