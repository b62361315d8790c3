"""How well published latency tables are predicted, and which of their rows are found to be contaminated.

    AUTOMOE_DATA=FOLDER python experiments/benchmarks/latency/published.py [--only split,clean,stretches,transfer]

Six tables of HAT (Wang et al. 2020), 2,000 rows each, in FOLDER/latency. On one core. Tables in `results/`:

- `published_split`: every regressor on one fixed split, 200 rows held out, contaminated rows in both parts; with the
  time that learning took, intervals included.
- `published_clean`: every regressor and two of scikit-learn's on the same 10 folds of the rows that look clean.
- `published_stretches`: contaminated stretches that are found, beside those that people listed by eye; and what it
  helps to learn without them.
- `published_transfer`: a table from another device's and 20 or 50 rows.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before NumPy is loaded
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import common
import numpy as np
import numpy.typing as npt

from automoe.files import sha256_of
from automoe.latency.hat_table import PublishedTable, read_hat_table
from automoe.latency.stretches import contaminated_stretches, without
from automoe.predictor import CalibratedPredictor, FitReport, Prediction, make_predictor
from automoe.predictor.automatic import AUTO
from automoe.predictor.calibration import folds_of
from automoe.predictor.regressor import REGRESSORS, find_regressor

RESULTS = Path(__file__).parent / "results"
FloatArray = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Tables = Mapping[str, PublishedTable]

LISTED: dict[str, tuple[range, ...]] = {
    "iwslt14deen_gpu_titanxp": (range(0, 351), range(430, 491)),
    "wmt14ende_gpu_titanxp": (range(1263, 1500),),
    "wmt14enfr_gpu_titanxp": (),
    "wmt14ende_cpu_xeon": (),
    "wmt14enfr_cpu_xeon": (),
    "wmt14ende_cpu_raspberrypi": (range(0, 101),),
}
"""The tables, and their contaminated stretches as people found them, in the medians of 100 rows."""
FIGURES = ("rmse", "mape", "spearman", "kendall", "spearman_within_depth")
BASELINES = ("depth_lookup", "linear")
KINDS = (*(kind for kind in REGRESSORS if kind != "transfer"), AUTO)
"""All that can learn from one table."""
TRANSFERS = (
    ("wmt14ende_cpu_xeon", "wmt14ende_gpu_titanxp"),
    ("wmt14ende_gpu_titanxp", "wmt14ende_cpu_xeon"),
    ("wmt14ende_cpu_raspberrypi", "wmt14ende_cpu_xeon"),
    ("wmt14ende_cpu_xeon", "wmt14enfr_cpu_xeon"),
    ("wmt14ende_gpu_titanxp", "wmt14enfr_gpu_titanxp"),
    ("iwslt14deen_gpu_titanxp", "wmt14ende_gpu_titanxp"),
)
"""What is to be known, and from what other table."""
FEW = (20, 50)
DRAWS = 10
FOLDS = 10
FOLDS_WITHIN = 3
"""Parts by which "auto" chooses within each of the 10 folds: choosing takes as long as all the rest together."""


def split(tables: Tables) -> list[dict[str, Any]]:
    """Every kind on the fixed split; ratios to the better of the two baselines."""
    rows: list[dict[str, Any]] = []
    for name, table in tables.items():
        permuted = np.random.default_rng(0).permutation(len(table))
        train, test = permuted[:-200], permuted[-200:]
        found: dict[str, dict[str, Any]] = {}
        for kind in KINDS:
            begin = time.process_time()
            predictor = fitted(kind, table, train)
            seconds = time.process_time() - begin
            found[kind] = figures(table, test, predictor.predict(table.features.take(test))) | {
                "chosen": predictor.chosen,
                "fit_s": seconds,
            }
            say(name, kind, found[kind])
        best = {key: min(found[kind][key] for kind in BASELINES) for key in ("rmse", "mape")}
        for kind, row in found.items():
            rows.append({"table": name, "kind": kind, **row} | {f"{key}_ratio": row[key] / best[key] for key in best})
    return rows


def clean(tables: Tables) -> list[dict[str, Any]]:
    """Every kind, and scikit-learn's, on the same folds of the clean rows; ratios to the best of all the others."""
    rows = []
    for name, table in tables.items():
        kept = clean_rows(table)
        folds = list(folds_of(len(kept), FOLDS, np.random.default_rng(0)))
        found: list[dict[str, Any]] = []
        for column, learn in {**{kind: ours(kind) for kind in KINDS}, **scikit_learn()}.items():
            predicted_N = np.empty(len(table))
            for others, held_out in folds:
                predicted_N[kept[held_out]] = learn(table, kept[others], kept[held_out])
            figures_ = figures(table, kept, Prediction.exact(predicted_N[kept]), learn(table, kept, kept))
            del figures_["coverage"]
            found.append({"table": name, "rows": len(kept), "column": column, **figures_})
            say(name, column, found[-1])
        best = min(row["rmse"] for row in found if row["column"] != AUTO)
        rows += [row | {"rmse_ratio": row["rmse"] / best} for row in found]
    return rows


def stretches(tables: Tables) -> list[dict[str, Any]]:
    """What is found beside what was listed, and the error on clean rows when learnt with and without it."""
    rows = []
    for name, table in tables.items():
        found = contaminated_stretches(table.described, table.latency_ms_N)
        ordinary = without(found, len(table))
        flagged = set(range(len(table))).difference(ordinary.tolist())
        overlaps = [len(flagged.intersection(listed)) / len(listed) for listed in LISTED[name]]
        unlisted = set(range(len(table))).difference(*LISTED[name])
        kept = clean_rows(table)
        permuted = np.random.default_rng(0).permutation(len(table))
        train, test = permuted[:-200], np.intersect1d(permuted[-200:], ordinary)
        learnt = {"all": train, "ordinary": np.intersect1d(train, ordinary)}
        rmse = {
            f"rmse_{kind}_from_{part}_rows": figures(
                table, test, fitted(kind, table, rows_).predict(table.features.take(test))
            )["rmse"]
            for kind in ("linear", "polynomial")
            for part, rows_ in learnt.items()
        }
        row = {
            "table": name,
            "found": ", ".join(f"{s.first}-{s.last} ({s.ratio:.2f}x)" for s in found),
            "listed": ", ".join(f"{listed[0]}-{listed[-1]}" for listed in LISTED[name]),
            "overlap_percent": ", ".join(f"{100 * overlap:.0f}" for overlap in overlaps),
            "clean_rows": len(kept),
            "of_them_flagged_percent": 100 * len(flagged.intersection(kept.tolist())) / len(kept),
            "of_unlisted_flagged_percent": 100 * len(flagged & unlisted) / len(unlisted),
        }
        rows.append(row | rmse)
        say(name, "stretches", row)
    return rows


def transfer(tables: Tables) -> list[dict[str, Any]]:
    """Medians over draws of the few rows; on ordinary rows alone, of both tables."""
    rows = []
    ordinary = {
        name: without(contaminated_stretches(table.described, table.latency_ms_N), len(table))
        for name, table in tables.items()
    }
    known = {name: fitted(AUTO, tables[name], ordinary[name]) for name in {other for _, other in TRANSFERS}}
    for name, other in TRANSFERS:
        table, base = tables[name], known[other]
        for count in FEW:
            drawn: dict[str, list[dict[str, Any]]] = {}
            for draw in range(DRAWS):
                permuted = np.random.default_rng(draw).permutation(ordinary[name])
                few, test = permuted[:count], permuted[count:]
                for method, prediction in from_few(table, base, few, test).items():
                    drawn.setdefault(method, []).append(figures(table, test, prediction))
            for method, found in drawn.items():
                medians = {key: float(np.median([figure[key] for figure in found])) for key in found[0]}
                rows.append({"table": name, "from": other, "rows": count, "method": method} | medians)
                say(f"{name} from {other}", f"{count} rows, {method}", rows[-1])
    return rows


def from_few(table: PublishedTable, base: CalibratedPredictor, few: Rows, test: Rows) -> dict[str, Prediction]:
    """Predictions of the test rows by each method."""
    few_N, ratio_N = table.latency_ms_N[few], base.predict(table.features).mean_N
    scaled_N = ratio_N[test] * np.exp(np.median(np.log(few_N / ratio_N[few])))
    found = {"other device, scaled": Prediction.exact(scaled_N)}
    for method, kind, start in (
        ("these rows alone, depth_lookup", "depth_lookup", None),
        ("these rows alone, auto", AUTO, None),
        ("other device and these rows, transfer", "transfer", base),
        ("other device and these rows, auto", AUTO, base),
    ):
        predictor = make_predictor(kind, base=start)
        predictor.fit(table.features.take(few), few_N)
        found[method] = predictor.predict(table.features.take(test))
    return found


def clean_rows(table: PublishedTable) -> Rows:
    """Rows where the median of 25 neighbours' relative deviation from the median of their depth is below 4 %.

    On the Raspberry Pi latency differs within a depth by so much that the filter takes fifths of the clean rows away.
    """
    latency_N, depth_N = table.latency_ms_N, table.features.depth_N
    middle = {depth: np.median(latency_N[depth_N == depth]) for depth in np.unique(depth_N)}
    deviation_N = np.array([value / middle[depth] - 1 for value, depth in zip(latency_N, depth_N, strict=True)])
    level_N = [np.median(deviation_N[max(0, row - 12) : row + 13]) for row in range(len(table))]
    return np.flatnonzero(np.abs(level_N) < 0.04)


Learn = Callable[[PublishedTable, Rows, Rows], FloatArray]


def ours(kind: str) -> Learn:
    """Learns from rows and predicts others; "auto" chooses anew in each fold, from what it learns there."""

    def learn(table: PublishedTable, train: Rows, test: Rows) -> FloatArray:
        held_out = table.features.take(test)
        if kind == AUTO:
            return fitted(AUTO, table, train, FOLDS_WITHIN).predict(held_out).mean_N
        return find_regressor(kind).fit(table.features.take(train), table.latency_ms_N[train]).predict(held_out)

    return learn


def scikit_learn() -> dict[str, Learn]:
    """Regressors as they come, on the same ten averages."""
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    def learn(model: Any) -> Learn:
        return lambda table, train, test: np.asarray(
            model.fit(table.features.x_NF[train], table.latency_ms_N[train]).predict(table.features.x_NF[test])
        )

    return {
        "scikit-learn polynomial ridge": learn(make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge())),
        "scikit-learn boosting": learn(GradientBoostingRegressor(n_estimators=150, max_depth=3, random_state=0)),
    }


def fitted(kind: str, table: PublishedTable, rows: Rows, folds: int = FOLDS) -> CalibratedPredictor:
    """A predictor with intervals that learnt from these rows."""
    predictor = make_predictor(kind, folds=folds)
    predictor.fit(table.features.take(rows), table.latency_ms_N[rows])
    return predictor


def figures(
    table: PublishedTable, rows: Rows, prediction: Prediction, of_all_N: FloatArray | None = None
) -> dict[str, float]:
    """Figures of the package's own report: RMSE in ms, MAPE in percent, rank correlations, and coverage as a share.

    Args:
        table: that was predicted.
        rows: of it.
        prediction: of the rows.
        of_all_N: what one model that has learnt from all rows predicts, where folds were predicted by one each.
    """
    of_all_N = prediction.mean_N if of_all_N is None else of_all_N
    report = FitReport.of(table.features.take(rows), table.latency_ms_N[rows], prediction, of_all_N)
    found = {name: float(getattr(report, name) or 0) for name in FIGURES}
    # What has no interval covers nothing, and says so.
    return found | {"coverage": report.coverage if np.any(prediction.lower_N < prediction.upper_N) else np.nan}


def say(table: str, what: str, row: Mapping[str, Any]) -> None:
    """Shows how far it is."""
    shown = [f"{key} {value:.4g}" for key, value in row.items() if isinstance(value, float)]
    print(f"{table}: {what}: {', '.join(shown)}", flush=True)


PARTS: dict[str, Callable[[Tables], list[dict[str, Any]]]] = {
    "split": split,
    "clean": clean,
    "stretches": stretches,
    "transfer": transfer,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the tables (default: $AUTOMOE_DATA/latency)")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to make, separated by commas")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="processor to use")
    args = parser.parse_args(arguments)
    if args.data is None and "AUTOMOE_DATA" not in os.environ:
        parser.error("give --data FOLDER, or set AUTOMOE_DATA to a folder that holds latency/")
    if unknown := set(args.only.split(",")).difference(PARTS):
        parser.error(f"there is no part {min(unknown)!r}: there are {', '.join(PARTS)}")
    os.sched_setaffinity(0, {args.core})
    warnings.filterwarnings("error", category=RuntimeWarning)  # no silent overflow in what is published
    folder = args.data or Path(os.environ["AUTOMOE_DATA"]) / "latency"
    files = {name: folder / f"{name}.csv.gz" for name in LISTED}
    tables = {name: read_hat_table(file) for name, file in files.items()}
    inputs = {file.name: sha256_of(file) for file in files.values()}
    for part in args.only.split(","):
        common.write_table(PARTS[part](tables), f"published_{part}", RESULTS, inputs=inputs)


if __name__ == "__main__":
    main()
