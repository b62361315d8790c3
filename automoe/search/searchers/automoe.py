"""AutoMoE's evolution (Jawahar et al. 2023, section 3.3), which is HAT's (Wang et al. 2020).

A population is the best parents, their mutants and their crossovers; the first one is drawn by rejection under the
limits. The first objective alone selects, so costs among the objectives do not bound anything: the limits do
(`search.within`), and one search answers one budget. Two things differ from the reference: nothing is evaluated twice
(it evaluates its parents in every generation again), and children are never repeats.
"""

from __future__ import annotations

from dataclasses import dataclass

from automoe.errors import ConfigError
from automoe.search.problem import QUALITIES
from automoe.search.searcher import Candidate
from automoe.search.searchers.children import children_of
from automoe.search.searchers.proposals import GenomeSearcher, Proposals
from automoe.search.searchers.ranking import best_by_first_objective


@dataclass(frozen=True, kw_only=True)
class AutoMoEOptions:
    """Settings of `AutoMoEEvolution`; a population is parents, mutants and crossovers."""

    parents: int = 25
    """The best of all evaluated architectures, which have the next generation's children."""
    mutants: int = 50
    """Children of one parent."""
    crossovers: int = 50
    """Children of two parents, every gene from one or the other with equal chance."""
    mutation: float = 0.3
    """Probability of each gene of a mutant to be drawn anew."""

    def __post_init__(self) -> None:
        if self.parents < 1:
            raise ConfigError("parents", self.parents, allowed=">= 1")
        for name in ("mutants", "crossovers"):
            if getattr(self, name) < 0:
                raise ConfigError(name, getattr(self, name), allowed=">= 0")
        if self.mutants + self.crossovers < 1:
            raise ConfigError("mutants", self.mutants, "leaves no children, since crossovers is 0", allowed=">= 1")
        if not 0 < self.mutation <= 1:
            raise ConfigError("mutation", self.mutation, allowed="0 < p <= 1")

    @property
    def children(self) -> int:
        """Architectures of a generation that are new."""
        return self.mutants + self.crossovers

    @property
    def population(self) -> int:
        """Architectures of the first generation."""
        return self.parents + self.children


class AutoMoEEvolution(GenomeSearcher):
    """See the module's text."""

    Options = AutoMoEOptions
    options: AutoMoEOptions

    @property
    def batch(self) -> int:
        """What the first population lacks, then the children of one generation."""
        return max(self.options.population - len(self.told), 0) or self.options.children

    def propose(self, num: int, proposals: Proposals) -> list[Candidate]:
        """Samples for the first population, then mutants and crossovers of the best."""
        options, rng = self.options, proposals.rng
        if len(self.told) < options.population:
            return proposals.samples(num)
        mutants = int(num * options.mutants / options.children + rng.random())  # exact for a whole generation
        return self._children(mutants, 0.0, proposals) + self._children(num - mutants, 1.0, proposals)

    def _children(self, num: int, crossover: float, proposals: Proposals) -> list[Candidate]:
        """Mutants (`crossover` 0) or crossovers (1) of the best of all told."""
        options, problem = self.options, self.problem
        parents = best_by_first_objective(problem, self.told)[: options.parents]
        draw = children_of(problem.codec, parents, proposals.rng, mutation=options.mutation, crossover=crossover)
        guessed = problem.objectives[0] in QUALITIES
        pool = proposals.collect(draw, (problem.screen if guessed else 1) * num)
        return proposals.best(pool, self.told, num) if len(pool) > num else pool
