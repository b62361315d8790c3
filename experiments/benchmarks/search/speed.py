"""How fast genomes are handled on one core, in AutoMoE's space of up to six experts a layer.

    OMP_NUM_THREADS=1 python experiments/benchmarks/search/speed.py

1. Architectures a second that are drawn, repaired, made canonical, hashed, and whose FLOPs and size are computed.
2. Seconds of AutoMoE's evolution (125 architectures, 30 generations) with latency and quality from predictors.
3. Seconds that `automoe.space`, `.cost` and `.search` take to load, each in a process of its own.

The result is `results/speed.json`: medians over the rounds, and the least and greatest value.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from automoe.cost import population_costs
from automoe.files import write_json
from automoe.predictor import Prediction, make_predictor
from automoe.search import (
    LATENCY,
    AllAtOnce,
    Archive,
    ArchiveHeader,
    Problem,
    Quality,
    in_budget_units,
    make_searcher,
    parse_budget,
    resolve,
    run_search,
)
from automoe.space import Architecture, GenomeCodec, find_space, read_space

HERE = Path(__file__).parent
SPACES = ("automoe_wmt14_6", "automoe_wmt14_6_fractional")
SIZES: dict[str, Any] = {"vocab_size": 32768, "pre_norm": False}
BATCH, BATCHES = 4096, 10
MEASURED = 200
"""Architectures that the predictors learn from; their latency and quality are formulas."""
GENERATIONS = 30
ROUNDS = 5


def architectures_per_second(name: str) -> float:
    """Of sampling, repair, canonical form, hash, FLOPs and parameters, in batches."""
    codec = GenomeCodec(read_space(find_space(name)))
    rng = np.random.default_rng(0)
    begin = time.perf_counter()
    for _ in range(BATCHES):
        genome_NG = codec.canonical(codec.sample(BATCH, rng))
        codec.hashes(genome_NG)
        population_costs(codec, genome_NG, **SIZES)
    return BATCH * BATCHES / (time.perf_counter() - begin)


def seconds_of_evolution(name: str) -> float:
    """From fitted predictors to the archive of AutoMoE's evolution within a latency budget."""
    codec = GenomeCodec(read_space(find_space(name)))
    rng = np.random.default_rng(0)
    archs = [codec.decode(genome_G) for genome_G in codec.sample(MEASURED, rng)]
    latency, quality = make_predictor("ridge"), make_predictor("sizes")
    latency.fit(archs, [_latency(arch) for arch in archs])
    quality.fit(archs, [_loss(arch) for arch in archs])

    def predict_costs(some: Any) -> dict[str, Prediction]:
        genome_NG = np.stack([codec.encode(arch) for arch in some])
        exact = in_budget_units(population_costs(codec, genome_NG, **SIZES))
        return {LATENCY: latency.predict(some)} | {cost: Prediction.exact(values) for cost, values in exact.items()}

    budget = float(np.median([_latency(arch) for arch in archs]))
    limits = resolve(parse_budget({LATENCY: budget}), {}, coverage=0.9)
    problem = Problem(codec=codec, predict_costs=predict_costs, objectives=("loss",), limits=limits, screen=1)
    searcher = make_searcher("automoe", problem, {}, seed=1)
    num = searcher.batch + (GENERATIONS - 1) * 100
    with tempfile.TemporaryDirectory() as folder:
        costs = (LATENCY, "flops_g", "params_m", "memory_mb")
        header = ArchiveHeader(space=codec.space.digest, space_name=name, costs=costs)
        archive = Archive.open(Path(folder) / "archive.jsonl", header)
        begin = time.perf_counter()
        pool = AllAtOnce(lambda some: [Quality(loss) for loss in quality.predict(some).mean_N.tolist()])
        run_search(searcher, problem, archive, pool, evaluations=num)
        seconds = time.perf_counter() - begin
        assert len(archive) == num, "the search ended early"
    return seconds


def seconds_to_load(module: str) -> float:
    """In a fresh process, its start aside."""
    code = f"import time; begin = time.perf_counter(); import {module}; print(time.perf_counter() - begin)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def _latency(arch: Architecture) -> float:
    return 60 + sum(40 + 0.02 * sum(layer.expert_widths) for layer in arch.decoder.layers)


def _loss(arch: Architecture) -> float:
    return 6 - 0.1 * sum(np.log2(sum(layer.expert_widths)) for _, _, layer in arch.layers()) / 4


def repeated(measure: Callable[[], float]) -> dict[str, float]:
    """Median, least and greatest of some rounds."""
    values = [measure() for _ in range(ROUNDS)]
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main() -> None:
    rows: dict[str, Any] = {"command": "OMP_NUM_THREADS=1 python experiments/benchmarks/search/speed.py"}
    rows["machine"] = platform.processor() or platform.machine()
    for name in SPACES:
        rows[f"architectures_per_second {name}"] = repeated(lambda name=name: architectures_per_second(name))  # type: ignore[misc]
        rows[f"seconds_of_evolution {name}"] = repeated(lambda name=name: seconds_of_evolution(name))  # type: ignore[misc]
    for module in ("automoe.space", "automoe.cost", "automoe.search"):
        rows[f"seconds_to_load {module}"] = repeated(lambda module=module: seconds_to_load(module))  # type: ignore[misc]
    write_json(HERE / "results" / "speed.json", rows)
    for key, value in rows.items():
        print(key, value)


if __name__ == "__main__":
    main()
