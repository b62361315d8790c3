"""How far two measurements of the same architectures lie apart: corrected for drift, and as the clock says.

    python experiments/benchmarks/latency/noise.py a.jsonl b.jsonl --name noise_floor

Each table was measured by `measure.py`, in a session of its own. Differences are relative to the mean of the two.
What is corrected is the ratio to the reference: one and the same baseline turns it into milliseconds wherever two
sessions meet, as in `select` and `evaluate`.

Goals are of the corrected differences: 5 % in the median, for sessions on an undisturbed machine. For sessions an
hour apart, on a machine that is busy half of the time:

    python experiments/benchmarks/latency/noise.py a.jsonl b.jsonl --name noise_busy --goal-median 3 --goal-p90 8

Where more than 3 % are left uncorrected, the correction should at least halve that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import common
import numpy as np

from automoe.files import sha256_of
from automoe.latency import MeasuredTable, read_table

Row = dict[str, Any]
WORTH_HALVING = 3.0
"""Percent; of less there is little to correct."""
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Prints and writes the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs=2, metavar="TABLE", help="tables of the same architectures")
    parser.add_argument("--name", default="noise", help="results/NAME.csv and NAME.json are written")
    parser.add_argument("--goal-median", type=float, default=5.0, help="percent that the median should not exceed")
    parser.add_argument("--goal-p90", type=float, help="percent that the 90th percentile should not exceed")
    args = parser.parse_args()
    first, second = (read_table(path) for path in args.tables)
    if not {row.digest for row in first.rows} & {row.digest for row in second.rows}:
        parser.error("the two tables share no architecture: measure both with the same --space, --rows and --seed")
    columns = {"corrected": "reference_ratio", "uncorrected": "raw_ms", "the reference": "reference_ms"}
    rows = [_row(what, _by_digest(first, column), _by_digest(second, column)) for what, column in columns.items()]
    rows = with_goals(rows, args.goal_median, args.goal_p90)
    inputs = {path.name: sha256_of(path) for path in args.tables}
    headers = [table.header.to_dict() for table in (first, second)]
    common.write_table(rows, args.name, RESULTS, inputs=inputs, tables=headers)


def _by_digest(table: MeasuredTable, column: str) -> dict[str, float]:
    return {row.digest: getattr(row, column) for row in table.rows}


def _row(what: str, first: dict[str, float], second: dict[str, float]) -> Row:
    """Relative differences in percent: median, 90th percentile, largest, and the median with its sign."""
    both = [digest for digest in first if digest in second]
    a_N, b_N = (np.array([values[digest] for digest in both]) for values in (first, second))
    difference_N = 100 * (b_N - a_N) / ((a_N + b_N) / 2)
    size_N = np.abs(difference_N)
    return {
        "what": what,
        "architectures": len(both),
        "median_percent": float(np.median(size_N)),
        "p90_percent": float(np.percentile(size_N, 90)),
        "largest_percent": float(size_N.max()),
        "signed_median_percent": float(np.median(difference_N)),
    }


def with_goals(rows: Sequence[Row], median: float, p90: float | None = None) -> list[Row]:
    """The rows with goals, and whether they are met; and one more: what the correction leaves of the differences.

    Args:
        rows: corrected, uncorrected, and the reference.
        median: percent that the corrected median should not exceed.
        p90: percent that the corrected 90th percentile should not exceed; None asks nothing.
    """
    corrected, uncorrected = rows[0], rows[1]
    asked = {"median": median} | ({} if p90 is None else {"p90": p90})
    met = all(corrected[f"{figure}_percent"] <= most for figure, most in asked.items())
    goal = ", ".join(f"{figure} <= {most:g}" for figure, most in asked.items())
    left = {
        figure: 100 * corrected[figure] / uncorrected[figure] if uncorrected[figure] else 100.0
        for figure in ("median_percent", "p90_percent")
    }
    much = uncorrected["median_percent"] > WORTH_HALVING
    halved = {"what": "corrected, of uncorrected", "architectures": corrected["architectures"], **left}
    if much:
        halved |= {"goal": "median <= 50", "met": yes(left["median_percent"] <= 50)}
    return [corrected | {"goal": goal, "met": yes(met)}, *rows[1:], halved]


def yes(met: bool) -> str:
    """As it stands in the table."""
    return "yes" if met else "no"


if __name__ == "__main__":
    main()
