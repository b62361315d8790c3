"""How near searchers come to the optimum of spaces that are known whole, beside random search.

    python experiments/benchmarks/search/compare.py [--tables a,b,c] [--searchers NAME,NAME] [--seeds 10] [--jobs 2]

Every searcher has two searches a seed, each of at most 10 % of the space: one within a budget of FLOPs, judged by how
far the best that it evaluated is from the best of the space (as a share of the feasible range), and one at all costs,
judged by the hypervolume of loss and log FLOPs that it reached (as a share of that of the whole space). The results
are `results/compare.csv`, a row a search, and `results/compare.json`, what they amount to.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automoe.cost import population_costs
from automoe.files import write_atomically, write_json
from automoe.predictor import FittedRegressor, Prediction
from automoe.search import (
    Archive,
    ArchiveHeader,
    InProcess,
    Problem,
    in_budget_units,
    make_searcher,
    parse_budget,
    resolve,
    run_search,
)
from automoe.search.hypervolume import hypervolume

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import tables  # noqa: E402

LOSS, BOTH = ("loss",), ("loss", "flops_g")
SEARCHERS: dict[str, tuple[str, dict[str, Any], tuple[str, ...], int | None]] = {
    "evolution": ("evolution", {}, BOTH, None),
    "evolution-unguided": ("evolution", {}, BOTH, None),
    "nsga2": ("nsga2", {}, BOTH, None),
    "automoe": ("automoe", {}, LOSS, None),
    "regularised": ("regularised", {}, BOTH, None),
    "local": ("local", {}, BOTH, None),
    "random": ("random", {}, BOTH, None),
    "optuna-tpe": ("optuna", {"sampler": "tpe"}, BOTH, 300),
    "optuna-nsga2": ("optuna", {"sampler": "nsga2"}, BOTH, None),
    "optuna-nsga3": ("optuna", {"sampler": "nsga3"}, BOTH, None),
    "optuna-cmaes": ("optuna", {"sampler": "cmaes"}, LOSS, None),
    "optuna-gp": ("optuna", {"sampler": "gp"}, LOSS, 50),
}
"""By label: the searcher, its options, its objectives within the budget, the most it evaluates (where it is slow)."""
UNGUIDED = {"evolution-unguided", "random"}
"""Without the quality predictor."""
SHARE = 0.1
"""Of the space that is evaluated at most."""


def search(name: str, label: str, seed: int) -> dict[str, Any]:
    """Both searches of one searcher with one seed in one table."""
    table = tables.load(name)
    searcher, options, objectives, most = SEARCHERS[label]
    evaluations = min(int(SHARE * len(table.genome_NG)), most or len(table.genome_NG))

    def predict_costs(archs: Any) -> dict[str, Prediction]:
        genome_NG = np.stack([table.codec.encode(arch) for arch in archs])
        costs = population_costs(table.codec, genome_NG, vocab_size=tables.VOCAB_SIZE, pre_norm=tables.PRE_NORM)
        return {cost: Prediction.exact(values) for cost, values in in_budget_units(costs).items()}

    def archs_of(objectives: tuple[str, ...], limits: Any) -> list[Any]:
        guess = None if label in UNGUIDED else partial(FittedRegressor.fit, "sizes")
        problem = Problem(
            codec=table.codec, predict_costs=predict_costs, objectives=objectives, limits=limits, fit_quality=guess
        )
        with tempfile.TemporaryDirectory() as folder:
            space = table.codec.space
            header = ArchiveHeader(
                space=space.digest, space_name=space.name, costs=("flops_g", "params_m", "memory_mb")
            )
            archive = Archive.open(Path(folder) / "archive.jsonl", header)
            made = make_searcher(searcher, problem, options, seed)
            run_search(made, problem, archive, InProcess(table.evaluate), evaluations=evaluations)
            return [(record.arch, record.loss) for record in archive.records]

    begin = time.perf_counter()
    within = archs_of(objectives, resolve(parse_budget({"flops_g": table.max_flops_g}), {}))
    by_loss = min(within, key=lambda found: found[1])[0]
    at_all_costs = archs_of(BOTH, ()) if objectives == BOTH else []
    seconds = time.perf_counter() - begin
    return {
        "table": name,
        "searcher": label,
        "seed": seed,
        "evaluations": len(within),
        "gap": table.gap([arch for arch, _ in within]),
        "gap_of_lowest_told": table.gap([by_loss]),
        "hypervolume": _share_of_hypervolume(table, [arch for arch, _ in at_all_costs]) if at_all_costs else None,
        "seconds": round(seconds, 2),
    }


def _share_of_hypervolume(table: tables.Table, archs: list[Any]) -> float:
    point_N2 = np.stack([table.true_N, np.log(table.flops_g_N)], axis=1)
    reference_2 = point_N2.max(axis=0)
    rows = [table.row(arch) for arch in archs]
    return hypervolume(point_N2[rows], reference_2) / hypervolume(point_N2, reference_2)


def summary(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """For each table and searcher: seeds within 1 % (table c: 3 %), seeds that beat random search, medians."""
    rows = []
    for (name, label), group in frame.groupby(["table", "searcher"], sort=False):
        random = frame[(frame["table"] == name) & (frame["searcher"] == "random")].set_index("seed")["hypervolume"]
        mine = group.set_index("seed")["hypervolume"]
        rows.append(
            {
                "table": name,
                "searcher": label,
                "seeds": len(group),
                "evaluations": int(group["evaluations"].max()),
                "near_optimum": int((group["gap"] <= (0.03 if name == "c" else 0.01)).sum()),
                "median_gap": group["gap"].median(),
                "worst_gap": group["gap"].max(),
                "median_gap_of_lowest_told": group["gap_of_lowest_told"].median(),
                "beats_random": int((mine > random.reindex(mine.index)).sum()) if mine.notna().any() else None,
                "median_hypervolume": mine.median() if mine.notna().any() else None,
                "worst_hypervolume": mine.min() if mine.notna().any() else None,
                "median_seconds": group["seconds"].median(),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", default="a,b,c")
    parser.add_argument("--searchers", default=",".join(SEARCHERS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    out = args.out / "compare.csv"
    out.parent.mkdir(exist_ok=True)
    known = pd.read_csv(out) if out.exists() else pd.DataFrame(columns=["table", "searcher", "seed"])
    done = set(map(tuple, known[["table", "searcher", "seed"]].to_numpy().tolist()))
    jobs = [
        job
        for job in ((name, label, seed) for name in args.tables.split(",") for label in args.searchers.split(",")
                    for seed in range(args.seeds))
        if job not in done
    ]  # fmt: skip
    rows = known.to_dict("records")
    with ProcessPoolExecutor(args.jobs) as processes:
        for row in processes.map(search, *zip(*jobs, strict=True)) if jobs else ():
            rows.append(row)
            write_atomically(out, pd.DataFrame(rows).to_csv(index=False))  # killed, it goes on
            print(json.dumps(row), flush=True)
    frame = pd.DataFrame(rows)
    order = {label: place for place, label in enumerate(SEARCHERS)}
    frame = frame.sort_values(
        ["table", "searcher", "seed"], key=lambda c: c.map(order) if c.name == "searcher" else c
    )
    write_atomically(out, frame.to_csv(index=False))
    command = "python experiments/benchmarks/search/compare.py"
    write_json(args.out / "compare.json", {"command": command, "share_evaluated": SHARE, "rows": summary(frame)})
    print(pd.DataFrame(summary(frame)).to_string(index=False))


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    main()
