"""Regularised evolution (Real et al. 2019): tournaments among the youngest, one gene mutated, the oldest die.

That everything dies of age keeps the search from circling around early, lucky values.

Shape suffixes: N children, G genes, S members of a tournament.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from automoe.errors import ConfigError
from automoe.search.record import Record
from automoe.search.searcher import Candidate
from automoe.search.searchers.proposals import Draw, GenomeSearcher, Proposals
from automoe.search.searchers.ranking import best_records, most_promising
from automoe.space import GenomeCodec

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class RegularisedOptions:
    """Settings of `RegularisedEvolution`. The paper has 100 and 25 for 20,000 evaluations; ours are hundreds."""

    population: int = 32
    """The youngest evaluated architectures; older ones have no children any more. So many samples begin."""
    sample: int = 8
    """Members of a tournament, drawn with replacement; the best one has a child."""
    batch: int = 8
    """Children that are asked for at once."""

    def __post_init__(self) -> None:
        for name in ("population", "sample", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), allowed=">= 1")


class RegularisedEvolution(GenomeSearcher):
    """See the module's text. With several objectives front and crowding decide tournaments, as in NSGA-II.

    The age of an architecture is its place among all that was told.
    """

    Options = RegularisedOptions
    options: RegularisedOptions

    @property
    def batch(self) -> int:
        """See `RegularisedOptions`."""
        return self.options.batch

    def propose(self, num: int, proposals: Proposals) -> list[Candidate]:
        """Samples for a first population, then mutants of the winners of tournaments."""
        options, problem = self.options, self.problem
        if len(self.told) < options.population:
            return proposals.samples(num)
        ranked = best_records(problem, self.told[-options.population :])
        draw = _mutants_of_winners(problem.codec, ranked, proposals.rng, options.sample)
        return most_promising(problem, self.told, proposals.collect(draw, problem.screen * num), num)


def _mutants_of_winners(codec: GenomeCodec, ranked: Sequence[Record], rng: np.random.Generator, sample: int) -> Draw:
    """Draws children that differ from the winner of a tournament in one gene.

    Args:
        codec: of the space.
        ranked: the population, the best first.
        rng: draws.
        sample: members of a tournament.
    """

    @cache
    def mutants(place: int) -> Ints:
        genome_G = codec.encode(ranked[place].arch)
        found_NG = codec.neighbours(genome_G)
        return found_NG if len(found_NG) else genome_G[None]  # a space of one architecture

    def draw(num: int) -> tuple[Ints, Sequence[str]]:
        member_NS = rng.integers(len(ranked), size=(num, sample))
        chance_N = rng.random(num)
        families = [mutants(place) for place in member_NS.min(axis=1).tolist()]
        children = [family[int(chance * len(family))] for family, chance in zip(families, chance_N, strict=True)]
        return np.stack(children), ["mutation"] * num

    return draw
