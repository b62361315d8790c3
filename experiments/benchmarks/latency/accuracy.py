"""How well latency is predicted from a measured table: cross-fitted, and from 50 rows.

    python experiments/benchmarks/latency/accuracy.py table.jsonl --floor 1.8 --name multi30k

`--floor` is the noise of a measurement in percent, as `noise.py` found it: no predictor can be much better. Every
kind of regressor is cross-validated with 10 folds, its intervals calibrated on the other folds alone; then it learns
50 random rows and predicts the rest, ten times. Goals, and which of them a kind misses, stand in the last columns.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import common

from automoe.files import sha256_of
from automoe.latency import MeasuredTable, read_table
from automoe.predictor import fit_report, make_predictor
from automoe.predictor.learning_curve import learning_curve
from automoe.predictor.regressor import REGRESSORS

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results"
FEW, DRAWS = 50, 10
MAPE_OF_FEW = f"mape_of_{FEW}_rows_percent"
NOT_ALONE = ("transfer",)
"""Regressors that need another device's predictor."""


def main() -> None:
    """Prints and writes a row for each regressor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="a table.jsonl")
    parser.add_argument("--floor", type=float, help="percent by which two measurements of one architecture differ")
    parser.add_argument("--name", default="accuracy", help="results/NAME.csv and NAME.json are written")
    args = parser.parse_args()
    table = read_table(args.table)
    kinds = ["auto", *(kind for kind in REGRESSORS if kind not in NOT_ALONE)]
    rows = [with_goals(_row(kind, table) | {"floor_percent": args.floor}) for kind in kinds]
    inputs = {args.table.name: sha256_of(args.table)}
    common.write_table(rows, args.name, RESULTS, inputs=inputs, tables=[table.header.to_dict()])


def with_goals(row: Row) -> Row:
    """The row with what is asked of a predictor, and what of that it misses.

    The error should be at most 1.3 times the floor, or 3 % where that is more; without a floor 3 %.
    """
    most = max(1.3 * (row["floor_percent"] or 0.0), 3.0)
    goals = {
        f"MAPE <= {most:.3g}": row["mape_percent"] <= most,
        "Spearman >= 0.98": row["spearman"] >= 0.98,
        "coverage 86 to 94": 86 <= row["coverage_percent"] <= 94,
        f"MAPE of {FEW} rows <= 8": row[MAPE_OF_FEW] <= 8,
    }
    return row | {"goal": "; ".join(goals), "missed": "; ".join(goal for goal, met in goals.items() if not met)}


def _row(kind: str, table: MeasuredTable) -> Row:
    begin = time.perf_counter()
    fit = fit_report(lambda: make_predictor(kind), table.architectures, table.latency_ms_N, 10, 1)
    seconds = time.perf_counter() - begin
    return {
        "kind": kind,
        "rows": len(table),
        "rmse_ms": fit.rmse,
        "mape_percent": fit.mape,
        "spearman": fit.spearman,
        "spearman_within_depth": fit.spearman_within_depth,
        "coverage_percent": 100 * fit.coverage,
        MAPE_OF_FEW: _from_few(kind, table),
        "report_seconds": seconds,
    }


def _from_few(kind: str, table: MeasuredTable) -> float:
    """Mean absolute relative error on the rest of the table, in percent, over draws of few rows."""
    archs, values_N = table.architectures, table.latency_ms_N
    points = learning_curve(lambda: make_predictor(kind), archs, values_N, [FEW], repeats=DRAWS)
    return points[0].mape if points else float("nan")  # of a table that is hardly longer


if __name__ == "__main__":
    main()
