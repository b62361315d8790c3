"""Simulated annealing: a mutant of one evaluated architecture, the likelier a good one the colder it is.

Shape suffix: P told records.
"""

from dataclasses import dataclass

import numpy as np

from automoe.errors import ConfigError
from automoe.search.searchers.children import children_of
from automoe.search.searchers.proposals import GenomeSearcher


@dataclass(frozen=True, kw_only=True)
class AnnealingOptions:
    """Settings of `Annealing`."""

    cooling: float = 0.98
    """The temperature falls to this share with every record."""

    def __post_init__(self):
        if not 0 < self.cooling < 1:
            raise ConfigError("cooling", self.cooling, allowed="0 < share < 1")


class Annealing(GenomeSearcher):
    """Deals with the first objective only."""

    Options = AnnealingOptions
    batch = 1

    def propose(self, num, proposals):
        """One mutant; where all are known the base class samples."""
        if not self.told:
            return []
        value_P = self.problem.values(self.told)[:, 0]
        temperature = max(float(np.ptp(value_P)), 1e-9) * self.options.cooling ** len(self.told)
        weight_P = np.exp(-(value_P - value_P.min()) / temperature)
        parent = self.told[int(proposals.rng.choice(len(self.told), p=weight_P / weight_P.sum()))]
        draw = children_of(self.problem.codec, [parent], proposals.rng, mutation=0.1, crossover=0.0)
        return proposals.collect(draw, num)
