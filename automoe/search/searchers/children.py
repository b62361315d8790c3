"""Children of good architectures: mutants and crossovers, drawn many at once.

Shape suffixes: N children, G genes, P parents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automoe.search.record import Record
from automoe.search.searchers.proposals import Draw
from automoe.space import GenomeCodec


def children_of(
    codec: GenomeCodec,
    parents: Sequence[Record],
    rng: np.random.Generator,
    *,
    mutation: float = 0.1,
    crossover: float = 0.5,
) -> Draw:
    """Draws children of random parents.

    Args:
        codec: of the space.
        parents: records, at least one; their chances are equal.
        rng: draws.
        mutation: probability of each gene of a mutant to be drawn anew.
        crossover: share of the children that take each gene from one of two parents; the others are mutants of one.
    """
    genome_PG = np.stack([codec.encode(parent.arch) for parent in parents])

    def draw(num: int) -> tuple[np.ndarray, list[str]]:
        first_N = rng.integers(len(genome_PG), size=num)
        second_N = rng.integers(len(genome_PG), size=num)
        mutant_NG = codec.mutate(genome_PG[first_N], rng, mutation)
        crossed_NG = codec.cross(genome_PG[first_N], genome_PG[second_N], rng)
        is_crossed_N = rng.random(num) < crossover
        how = ["crossover" if is_crossed else "mutation" for is_crossed in is_crossed_N]
        return np.where(is_crossed_N[:, None], crossed_NG, mutant_NG), how

    return draw
