"""New architectures for a search: children of good ones, samples, and a first generation over all costs.

Shape suffixes: N genomes, G genes, P parents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from automoe.search.config import EvolutionConfig
from automoe.search.costs import FLOPS
from automoe.search.dominance import best_for_each_cost
from automoe.search.evaluator import CostPredictor, Floats
from automoe.search.record import Record, objectives
from automoe.space import Architecture, GenomeCodec

Ints = NDArray[np.int64]
_CHILD_DRAWS = 16
_SAMPLE_DRAWS = 64
_SAMPLES_PER_DRAW = 1024
_POOL = 32
"""Samples among which the first generation chooses, for each of its places."""


class Candidate(NamedTuple):
    """An architecture that has not been evaluated yet, and how it came to be."""

    arch: Architecture
    how: str


def first_generation(
    codec: GenomeCodec, size: int, rng: np.random.Generator, predict_costs: CostPredictor
) -> list[Candidate]:
    """The smallest and the largest architecture, then samples at even steps of log FLOPs between the two.

    Uniform samples crowd in the middle; even steps begin a front at the cheapest architecture.
    """
    anchors = list(dict.fromkeys((codec.space.smallest(), codec.space.largest())))[:size]
    chosen = [Candidate(arch, "anchor") for arch in anchors]
    seen = {codec.encode(arch).tobytes() for arch in anchors}
    pool = unseen_samples(codec, seen, _POOL * size, rng)
    if not pool or len(chosen) == size:
        return chosen
    predicted = predict_costs([*anchors, *(candidate.arch for candidate in pool)])
    log_flops_N = np.log(np.asarray(predicted[FLOPS].mean_N, dtype=np.float64))
    steps = _even_steps(log_flops_N[len(anchors) :], log_flops_N.min(), log_flops_N.max(), size - len(chosen))
    return chosen + [pool[index] for index in steps]


def select_parents(records: Sequence[Record], config: EvolutionConfig) -> list[Record]:
    """The best of all evaluated architectures, for each of the searched costs."""
    value_NM = objectives(records, config.costs)
    return [records[index] for index in best_for_each_cost(value_NM[:, 0], value_NM[:, 1:], config.parents)]


def unseen_children(
    codec: GenomeCodec,
    parents: Iterable[Record],
    config: EvolutionConfig,
    seen: set[bytes],
    count: int,
    rng: np.random.Generator,
) -> list[Candidate]:
    """Up to `count` different children whose genomes are not in `seen`; fewer where the parents have no more."""
    genome_PG = np.stack([codec.encode(parent.arch) for parent in parents])

    def draw() -> tuple[Ints, list[str]]:
        num = 2 * count
        first_N = rng.integers(len(genome_PG), size=num)
        second_N = rng.integers(len(genome_PG), size=num)
        mutant_NG = codec.mutate(genome_PG[first_N], rng, config.mutation)
        crossed_NG = codec.cross(genome_PG[first_N], genome_PG[second_N], rng)
        is_crossed_N = rng.random(num) < config.crossover
        how = ["crossover" if is_crossed else "mutation" for is_crossed in is_crossed_N]
        return np.where(is_crossed_N[:, None], crossed_NG, mutant_NG), how

    return _collect(codec, draw, _CHILD_DRAWS, seen, count)


def unseen_samples(codec: GenomeCodec, seen: set[bytes], count: int, rng: np.random.Generator) -> list[Candidate]:
    """Up to `count` different samples whose genomes are not in `seen`.

    There are fewer only where the space has hardly any left: after 65,536 draws it stops looking.
    """
    count = min(count, codec.space.num_architectures - len(seen))
    if count <= 0:
        return []

    def draw() -> tuple[Ints, list[str]]:
        return codec.sample(_SAMPLES_PER_DRAW, rng), ["sample"] * _SAMPLES_PER_DRAW

    return _collect(codec, draw, _SAMPLE_DRAWS, seen, count)


def genomes_of(codec: GenomeCodec, records: Iterable[Record]) -> set[bytes]:
    """What tells the architectures of the records from unseen ones, faster than their digests."""
    return {codec.encode(record.arch).tobytes() for record in records}


def _collect(
    codec: GenomeCodec, draw: Callable[[], tuple[Ints, list[str]]], draws: int, seen: set[bytes], count: int
) -> list[Candidate]:
    found: dict[bytes, Candidate] = {}
    for _ in range(draws):
        genome_NG, how_N = draw()
        _, first_N = np.unique(genome_NG, axis=0, return_index=True)
        for index in np.sort(first_N):
            if len(found) == count:
                return list(found.values())
            genome = genome_NG[index].tobytes()
            if genome not in seen and genome not in found:
                found[genome] = Candidate(codec.decode(genome_NG[index]), how_N[index])
    return list(found.values())


def _even_steps(value_N: Floats, low: float, high: float, count: int) -> list[int]:
    """Indices of `count` different values, each the nearest free one to a step between `low` and `high`."""
    free_N = np.ones(len(value_N), dtype=bool)
    chosen: list[int] = []
    for target in np.linspace(low, high, count + 2)[1:-1][: len(value_N)]:
        distance_N = np.where(free_N, np.abs(value_N - target), np.inf)
        chosen.append(int(np.argmin(distance_N)))
        free_N[chosen[-1]] = False
    return chosen
