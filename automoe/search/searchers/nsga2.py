"""NSGA-II (Deb et al. 2002): survival of the best fronts, and of the loneliest in the front that does not fit whole.

Shape suffixes: N children, G genes, P parents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automoe.errors import ConfigError
from automoe.search.problem import Problem
from automoe.search.record import Record
from automoe.search.searcher import Candidate
from automoe.search.searchers.proposals import Draw, GenomeSearcher, Proposals
from automoe.search.searchers.ranking import best_records, most_promising
from automoe.space import GenomeCodec


@dataclass(frozen=True, kw_only=True)
class NSGA2Options:
    """Settings of `NSGA2`."""

    population: int = 24
    """Architectures of one generation, and those that survive it."""
    crossover: float = 0.9
    """Probability of a child to take each gene from one of two parents; otherwise it begins as a copy of one."""
    mutation: float | None = None
    """Probability of each gene of a child to be drawn anew; None is one gene in the mean."""

    def __post_init__(self) -> None:
        if self.population < 2:
            raise ConfigError("population", self.population, allowed=">= 2")
        if not 0 <= self.crossover <= 1:
            raise ConfigError("crossover", self.crossover, allowed="0 <= p <= 1")
        number = isinstance(self.mutation, int | float) and not isinstance(self.mutation, bool)
        if self.mutation is not None and not (number and 0 < self.mutation <= 1):
            raise ConfigError("mutation", self.mutation, allowed="0 < p <= 1, or null")


class NSGA2(GenomeSearcher):
    """See the module's text. Generations are counted in what was told: `population` records each."""

    Options = NSGA2Options
    options: NSGA2Options

    def __init__(self, problem: Problem, options: NSGA2Options, seed: int) -> None:
        super().__init__(problem, options, seed)
        self._survivors: list[Record] = []
        self._num_survived = 0  # of what was told, the generations that are in _survivors

    @property
    def batch(self) -> int:
        """The population."""
        return self.options.population

    def tell(self, records: Sequence[Record]) -> None:
        """See `Searcher.tell`; whole generations are selected."""
        super().tell(records)
        size = self.options.population
        while self._num_survived + size <= len(self.told):
            generation = self.told[self._num_survived : self._num_survived + size]
            self._survivors = best_records(self.problem, self._survivors + generation)[:size]
            self._num_survived += size

    def propose(self, num: int, proposals: Proposals) -> list[Candidate]:
        """Samples for a first population, then children of the survivors."""
        options, problem, codec = self.options, self.problem, self.problem.codec
        if not self._survivors:
            return proposals.samples(num)
        mutation = options.mutation if options.mutation is not None else 1 / max(len(codec.free), 1)
        draw = _children(codec, self.parents(), proposals.rng, crossover=options.crossover, mutation=mutation)
        return most_promising(problem, self.told, proposals.collect(draw, problem.screen * num), num)

    def parents(self) -> list[Record]:
        """The survivors of all that was told, the best first; of an unfinished generation so far."""
        unfinished = self.told[self._num_survived :]
        if not unfinished:
            return self._survivors
        return best_records(self.problem, self._survivors + unfinished)[: self.options.population]


def _children(
    codec: GenomeCodec, ranked: Sequence[Record], rng: np.random.Generator, *, crossover: float, mutation: float
) -> Draw:
    """Draws children of the winners of binary tournaments: crossed with a probability, then mutated."""
    genome_PG = np.stack([codec.encode(record.arch) for record in ranked])

    def winners(num: int) -> NDArray[np.int64]:
        return genome_PG[rng.integers(len(genome_PG), size=(num, 2)).min(axis=1)]  # the first is the best

    def draw(num: int) -> tuple[NDArray[np.int64], Sequence[str]]:
        first_NG, second_NG = winners(num), winners(num)
        is_crossed_N = rng.random(num) < crossover
        child_NG = np.where(is_crossed_N[:, None], codec.cross(first_NG, second_NG, rng), first_NG)
        how = ["crossover" if is_crossed else "mutation" for is_crossed in is_crossed_N]
        return codec.mutate(child_NG, rng, mutation), how

    return draw
