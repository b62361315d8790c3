"""The cheapest and the dearest architecture of a surveyed space, and the costs of all that was surveyed.

Shape suffixes: N genomes, G genes of a genome.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.commands.cost import CostOptions
from automoe.cost import population_costs
from automoe.progress import Progress
from automoe.search import COSTS, LATENCY, in_budget_units
from automoe.space import Architecture, GenomeCodec
from automoe.space.census.survey import Cost, Survey

EXACT_COSTS = tuple(cost for cost in COSTS if cost != LATENCY)
"""What can be told of an architecture that nobody has measured."""
_AT_ONCE = 5_000
"""Genomes whose costs are computed together."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """An architecture at its place in the order of costs."""

    arch: Architecture
    exact: bool
    """Whether no architecture of the space belongs there instead; otherwise none of those that were drawn does."""


class SurveyedCosts:
    """The costs of the genomes that a survey asks about: all of its own, or these and two more."""

    def __init__(self, codec: GenomeCodec, options: CostOptions) -> None:
        self._codec = codec
        self._sizes: dict[str, Any] = {"vocab_size": options.vocab_size, "pre_norm": options.pre_norm}
        self._found: dict[int, dict[str, npt.NDArray[np.float64]]] = {}
        """All costs, by the number of genomes, which tells the two cases apart: computing them takes seconds."""

    def by(self, cost: str) -> Cost:
        """The function that a survey wants, for one of `EXACT_COSTS`."""
        return lambda genome_NG: self._all(genome_NG)[cost]

    def _all(self, genome_NG: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        num_N = len(genome_NG)
        if num_N not in self._found:
            parts = []
            with Progress("computing costs", total=num_N, unit="architecture") as progress:
                for begin in range(0, num_N, _AT_ONCE):
                    part_NG = genome_NG[begin : begin + _AT_ONCE]
                    parts.append(in_budget_units(population_costs(self._codec, part_NG, **self._sizes)))
                    progress.advance(len(part_NG))
            self._found[num_N] = {cost: np.concatenate([part[cost] for part in parts]) for cost in EXACT_COSTS}
        return self._found[num_N]


class Ranking:
    """The ends of the order of costs: known at once where every size is the least or the most there is."""

    def __init__(self, survey: Survey, codec: GenomeCodec, costs: SurveyedCosts) -> None:
        self._survey, self._codec, self._costs = survey, codec, costs
        space = survey.space
        self._least = space.smallest() if not survey.exact and space.smallest() == space.floor() else None
        self._most = space.largest() if not survey.exact and space.largest() == space.envelope() else None

    def cheapest(self, cost: str) -> Ranked:
        """The cheapest architecture by a cost, or the cheapest that is known."""
        if self._least is not None:
            return Ranked(arch=self._least, exact=True)
        genome_G = self._survey.cheapest(self._costs.by(cost))
        return Ranked(arch=self._codec.decode(genome_G), exact=self._survey.exact)

    def dearest(self, cost: str) -> Ranked:
        """The dearest architecture by a cost, or the dearest that is known."""
        if self._most is not None:
            return Ranked(arch=self._most, exact=True)
        genome_G = self._survey.dearest(self._costs.by(cost))
        return Ranked(arch=self._codec.decode(genome_G), exact=self._survey.exact)
