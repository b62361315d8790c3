"""How far two measurements of the same architectures lie apart: corrected for drift, and as the clock says.

    python experiments/benchmarks/latency/noise.py a.jsonl b.jsonl --name noise_floor

Each table was measured by `measure.py`, in a session of its own. Differences are relative to the mean of the two.
What is corrected is the ratio to the reference: one and the same baseline turns it into milliseconds wherever two
sessions meet, as in `select` and `evaluate`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import common
import numpy as np

from automoe.files import sha256_of
from automoe.latency import MeasuredTable, read_table

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Prints and writes the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs=2, metavar="TABLE", help="tables of the same architectures")
    parser.add_argument("--name", default="noise", help="results/NAME.csv and NAME.json are written")
    args = parser.parse_args()
    first, second = (read_table(path) for path in args.tables)
    columns = {"corrected": "reference_ratio", "uncorrected": "raw_ms", "the reference": "reference_ms"}
    rows = [_row(what, _by_digest(first, column), _by_digest(second, column)) for what, column in columns.items()]
    inputs = {path.name: sha256_of(path) for path in args.tables}
    headers = [table.header.to_dict() for table in (first, second)]
    common.write_table(rows, args.name, RESULTS, inputs=inputs, tables=headers)


def _by_digest(table: MeasuredTable, column: str) -> dict[str, float]:
    return {row.digest: getattr(row, column) for row in table.rows}


def _row(what: str, first: dict[str, float], second: dict[str, float]) -> dict[str, object]:
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


if __name__ == "__main__":
    main()
