"""A world without training: the loss and the costs of an architecture of the tiny space, written down as formulas."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from automoe.cost import costs
from automoe.predictor import FittedRegressor
from automoe.search import (
    COSTS,
    LATENCY,
    Archive,
    ArchiveHeader,
    Estimate,
    Evaluator,
    InProcess,
    Problem,
    Quality,
    Record,
    ResolvedLimit,
    SearchOutcome,
    in_budget_units,
    make_searcher,
    run_search,
)
from automoe.space import Architecture, GenomeCodec, SearchSpace, find_space, read_space

SPACE = read_space(find_space("tiny"))
CODEC = GenomeCodec(SPACE)
WIDTH = 0.2
"""Half the width of a latency's interval, relative to its mean."""


class Interval(NamedTuple):
    mean_N: np.ndarray
    lower_N: np.ndarray
    upper_N: np.ndarray


def loss(arch: Architecture) -> float:
    """Falls with every size, with diminishing returns; no two architectures agree in it."""
    dims = {"encoder": arch.encoder.dim, "decoder": arch.decoder.dim}
    widths = [(dims[side], sum(layer.expert_widths)) for side, _, layer in arch.layers()]
    strength = sum(math.log(dim) + 0.3 * math.log(width) for dim, width in widths)
    return 2 + 5 * math.exp(-0.15 * strength) + int(arch.digest, 16) % 1000 * 1e-5


def latency(arch: Architecture) -> float:
    return 1 + sum(1 + 0.2 * layer.num_experts + arch.decoder.dim / 64 for layer in arch.decoder.layers)


def true_costs(arch: Architecture) -> dict[str, float]:
    exact = in_budget_units(costs(arch, vocab_size=100, pre_norm=True).to_dict())
    return {LATENCY: latency(arch)} | exact


def predict_costs(archs: Sequence[Architecture]) -> dict[str, Interval]:
    rows = [true_costs(arch) for arch in archs]
    mean = {name: np.array([row[name] for row in rows]) for name in COSTS}
    exact = {name: Interval(mean_N, mean_N, mean_N) for name, mean_N in mean.items()}
    slow_N = mean[LATENCY]
    return exact | {LATENCY: Interval(slow_N, slow_N * (1 - WIDTH), slow_N * (1 + WIDTH))}


def header(space: SearchSpace = SPACE, **context: object) -> ArchiveHeader:
    return ArchiveHeader(space=space.digest, space_name=space.name, costs=tuple(COSTS), context=context)


def new_archive(folder: Path, space: SearchSpace = SPACE) -> Archive:
    return Archive.open(folder / "archive.jsonl", header(space))


def sampled(num: int, seed: int) -> list[Architecture]:
    return [CODEC.decode(genome_G) for genome_G in CODEC.sample(num, np.random.default_rng(seed))]


def record_of(arch: Architecture, index: int = 0, **changes: object) -> Record:
    estimates = {name: Estimate.exact(value) for name, value in true_costs(arch).items()}
    mean = latency(arch)
    estimates[LATENCY] = Estimate(mean, mean * (1 - WIDTH), mean * (1 + WIDTH))
    fields = {"index": index, "digest": arch.digest, "arch": arch, "loss": loss(arch), "costs": estimates,
              "generation": 0, "how": "sample"}  # fmt: skip
    return Record(**fields | changes)


def records_of(archs: Sequence[Architecture]) -> list[Record]:
    return [record_of(arch, index) for index, arch in enumerate(dict.fromkeys(archs))]


def limit(cost: str, most: float, **fields: object) -> ResolvedLimit:
    return ResolvedLimit(cost=cost, max=most, **fields)


def evaluate(arch: Architecture) -> Quality:
    return Quality(loss(arch))


def fit_quality(archs: Sequence[Architecture], value_N: np.ndarray):
    return FittedRegressor.fit("sizes", archs, value_N)


def problem(space: SearchSpace = SPACE, **changes: object) -> Problem:
    fields = {"codec": GenomeCodec(space), "predict_costs": predict_costs, "fit_quality": fit_quality}
    return Problem(**fields | changes)


def search_on(
    archive: Archive,
    evaluate: Evaluator = evaluate,
    *,
    searcher: str = "evolution",
    seed: int = 1,
    evaluations: int = 23,
    space: SearchSpace = SPACE,
    on_progress=None,
    **options: object,
) -> SearchOutcome:
    """Begins a search, or goes on with the one that left this archive."""
    world = problem(space)
    made = make_searcher(searcher, world, options, seed)
    return run_search(made, world, archive, InProcess(evaluate), evaluations=evaluations, on_progress=on_progress)


record_lists = st.builds(sampled, st.integers(1, 12), st.integers(0, 999)).map(records_of)
