"""Evolution over the front of quality against costs, from the cheapest architecture up (as NSGA-II, Deb et al. 2002).

All evaluated architectures compete for parenthood, since a quality once computed never changes. Children are many and
evaluations are few, so the quality predictor guesses which children promise most.

Shape suffixes: N architectures, M objectives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from automoe.errors import ConfigError
from automoe.search.costs import FLOPS
from automoe.search.dominance import best_for_each_trade
from automoe.search.evaluator import Estimate, Floats
from automoe.search.record import Record
from automoe.search.searcher import Candidate
from automoe.search.searchers.children import children_of
from automoe.search.searchers.proposals import GenomeSearcher, Proposals
from automoe.search.searchers.ranking import most_promising

_SPREAD = 32
"""Samples among which the first generation chooses, for each of its places."""


@dataclass(frozen=True, kw_only=True)
class EvolutionOptions:
    """Settings of `Evolution`."""

    population: int = 24
    """Architectures of one generation."""
    parents: int = 12
    """The best of all evaluated ones, which have the next generation's children."""
    mutation: float = 0.1
    """Probability of each gene of a mutant to be drawn anew."""
    crossover: float = 0.5
    """Share of the children that take each gene from one of two parents; the others are mutants of one."""
    newcomers: float = 0.1
    """Share of a generation that are samples which nothing has guessed: they may bring what the best do not have."""

    def __post_init__(self) -> None:
        if not 0 <= self.newcomers < 1:
            raise ConfigError("newcomers", self.newcomers, allowed="0 <= share < 1")
        if self.population < 1:
            raise ConfigError("population", self.population, allowed=">= 1")
        if self.parents < 2:
            raise ConfigError("parents", self.parents, allowed=">= 2")
        if not 0 < self.mutation <= 1:
            raise ConfigError("mutation", self.mutation, allowed="0 < p <= 1")
        if not 0 <= self.crossover <= 1:
            raise ConfigError("crossover", self.crossover, allowed="0 <= share <= 1")


class Evolution(GenomeSearcher):
    """The default searcher; see the module's text."""

    Options: ClassVar[type] = EvolutionOptions
    options: EvolutionOptions

    @property
    def batch(self) -> int:
        """The population."""
        return self.options.population

    def propose(self, num: int, proposals: Proposals) -> list[Candidate]:
        """Children of the best of all told; first of all samples over the range of costs."""
        if not self.told and not proposals.pending:
            return _first_generation(num, proposals)
        if not self.told or len(self.told) + len(proposals.pending) < self.options.population:
            return self._rest_of_first_generation(num, proposals)
        options, problem = self.options, self.problem
        draw = children_of(
            problem.codec, self._parents(), proposals.rng, mutation=options.mutation, crossover=options.crossover
        )
        share = options.newcomers * num
        newcomers = proposals.samples(round(share) if share >= 1 else int(proposals.rng.random() < share))
        pool = proposals.collect(draw, problem.screen * num)
        return [*most_promising(problem, self.told, pool, num - len(newcomers)), *newcomers]

    def _rest_of_first_generation(self, num: int, proposals: Proposals) -> list[Candidate]:
        """The smallest and the largest architecture, then samples: each in the widest gap of log FLOPs so far."""
        chosen = proposals.anchors()[:num]
        pool = proposals.samples(_SPREAD * (num - len(chosen)))
        problem = self.problem
        others = problem.estimates([*proposals.pending, *(candidate.arch for candidate in chosen)])
        taken = _log_flops([*(record.costs for record in self.told), *others])
        log_flops_N = _log_flops(problem.estimates([candidate.arch for candidate in pool]))
        while pool and len(chosen) < num:
            gap_N = np.abs(log_flops_N[:, None] - taken).min(axis=1)
            place = int(np.argmax(gap_N))
            chosen.append(pool.pop(place))
            taken = np.append(taken, log_flops_N[place])
            log_flops_N = np.delete(log_flops_N, place)
        return chosen

    def _parents(self) -> list[Record]:
        """The best of all evaluated architectures, for each trade of a quality for a cost."""
        value_NM = self.problem.values(self.told)
        best = best_for_each_trade(value_NM, len(self.problem.qualities), self.options.parents)
        return [self.told[index] for index in best]


def _first_generation(num: int, proposals: Proposals) -> list[Candidate]:
    """The smallest and the largest architecture, then samples at even steps of log FLOPs between the two.

    Uniform samples crowd in the middle; even steps begin a front at the cheapest architecture.
    """
    chosen = proposals.anchors()[:num]
    pool = proposals.samples(_SPREAD * num)
    if not pool or len(chosen) == num:
        return chosen
    log_flops_N = _log_flops(proposals.problem.estimates([candidate.arch for candidate in (*chosen, *pool)]))
    steps = _even_steps(log_flops_N[len(chosen) :], log_flops_N.min(), log_flops_N.max(), num - len(chosen))
    return chosen + [pool[index] for index in steps]


def _log_flops(costs: Sequence[Mapping[str, Estimate]]) -> Floats:
    return np.log(np.array([each[FLOPS].mean for each in costs], dtype=np.float64))


def _even_steps(value_N: Floats, low: float, high: float, count: int) -> list[int]:
    """Indices of `count` different values, each the nearest free one to a step between `low` and `high`."""
    free_N = np.ones(len(value_N), dtype=bool)
    chosen: list[int] = []
    for target in np.linspace(low, high, count + 2)[1:-1][: len(value_N)]:
        distance_N = np.where(free_N, np.abs(value_N - target), np.inf)
        chosen.append(int(np.argmin(distance_N)))
        free_N[chosen[-1]] = False
    return chosen
