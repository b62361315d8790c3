"""Goes on with a search just below a budget, where too few architectures were evaluated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from automoe.errors import ConfigError
from automoe.search.budget import ResolvedLimit, used_share
from automoe.search.dominance import non_dominated_sort
from automoe.search.problem import Problem, first_quality
from automoe.search.record import Record, quality_of
from automoe.search.searcher import Candidate
from automoe.search.searchers.children import children_of
from automoe.search.searchers.proposals import GenomeSearcher, Proposals

_POOL = 32
"""Children whose costs are predicted, for each that is evaluated."""


@dataclass(frozen=True, kw_only=True)
class FocusedOptions:
    """Settings of `FocusedSearch`."""

    batch: int = 12
    """Architectures of one generation."""
    parents: int = 12
    """Records near the budget, which have the children."""
    near_ratio: float = 0.85
    """Just below the budget: of the limit that binds most, at least this share is used."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError("batch", self.batch, allowed=">= 1")
        if self.parents < 1:
            raise ConfigError("parents", self.parents, allowed=">= 1")


class FocusedSearch(GenomeSearcher):
    """Evaluates what is predicted to lie just below a budget.

    Parents are the records near the budget that few others beat; of many children those are evaluated whose predicted
    costs use between `near_ratio` and all of the budget, the lowest guessed loss first.

    Args:
        problem: its limits hold too. The budget is none of them: what lies just above it is better than nothing.
        options: how.
        seed: of everything random.
        limits: the budget.
    """

    Options: ClassVar[type] = FocusedOptions
    options: FocusedOptions

    def __init__(self, problem: Problem, options: FocusedOptions, seed: int, limits: Sequence[ResolvedLimit]) -> None:
        super().__init__(problem, options, seed)
        self._limits = tuple(limits)

    @property
    def batch(self) -> int:
        """See `FocusedOptions`."""
        return self.options.batch

    def propose(self, num: int, proposals: Proposals) -> list[Candidate]:
        """Children of what lies near the budget; samples where they are too few."""
        pool = proposals.collect(children_of(self.problem.codec, self._parents(), proposals.rng), _POOL * num)
        pool += proposals.samples(_POOL * num - len(pool))
        archs = [candidate.arch for candidate in pool]
        uses = [used_share(costs, self._limits) for costs in self.problem.estimates(archs)]
        away = [_distance(use, self.options.near_ratio) for use in uses]
        guess_N = self.problem.guess(self.told, archs)
        guesses = [0.0] * len(pool) if guess_N is None else guess_N.tolist()
        order = sorted(range(len(pool)), key=lambda index: (away[index], guesses[index]))
        return [Candidate(archs[index], "focus") for index in order[:num]]

    def _parents(self) -> list[Record]:
        """Of the two best fronts of quality against the budget's use, the records whose use is nearest to all of it.

        Those just above the budget are parents too: a smaller child of a good one may keep it.
        """
        quality = first_quality(self.problem.objectives)
        use_N = [used_share(record.costs, self._limits) for record in self.told]
        points = [[quality_of(record, quality), use] for record, use in zip(self.told, use_N, strict=True)]
        front_N = non_dominated_sort(np.array(points))
        order = sorted(range(len(points)), key=lambda index: (front_N[index] > 1, abs(math.log(use_N[index]))))
        return [self.told[index] for index in order[: self.options.parents]]


def _distance(use: float, near_ratio: float) -> float:
    """How far the use of the budget is from what lies just below it; 0 inside."""
    return max(0.0, math.log(use), math.log(near_ratio) - math.log(use))
