"""`GenomeSampling`: draws genomes that meet the constraints of their space.

Shape suffixes: N genomes, G genes of a genome.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from automoe.space.layer_sizes import Bools, Ints
from automoe.space.search_space import SearchSpace

_FIRST_DRAWS, _MOST_DRAWS = 8, 16384
"""Draws at once while some are missing: four times as many each time."""
_TRIAL_DRAWS, _RARE = 4096, 8
"""If fewer than so many of these draws meet the constraints, it takes too long to draw until some do."""


class GenomeSampling:
    """Draws genomes of one space.

    Args:
        space: the space.
        draw: draws canonical genomes, whether they meet the constraints or not.
        feasible: says which of N canonical genomes meet them.
    """

    def __init__(
        self,
        space: SearchSpace,
        draw: Callable[[int, np.random.Generator], Ints],
        feasible: Callable[[Ints], Bools],
    ) -> None:
        self._space, self._draw, self._feasible = space, draw, feasible

    def sampled(self, num: int, rng: np.random.Generator) -> Ints:
        """As `GenomeCodec.sample`."""
        if self._is_rare:
            return self._space.census.sample(num, rng)
        drawn_NG = self._draw(num, rng)
        found = [drawn_NG[self._feasible(drawn_NG)]]
        missing, at_once = num - len(found[0]), _FIRST_DRAWS
        while missing > 0:
            drawn_NG = self._draw(max(at_once, missing), rng)
            found.append(drawn_NG[self._feasible(drawn_NG)])
            missing, at_once = missing - len(found[-1]), min(4 * at_once, _MOST_DRAWS)
        return np.concatenate(found)[:num]

    @cached_property
    def _is_rare(self) -> bool:
        """Whether hardly any draw meets the constraints; the same in every process."""
        if not self._space.constraints:
            return False
        trial_NG = self._draw(_TRIAL_DRAWS, np.random.default_rng(0))
        return int(self._feasible(trial_NG).sum()) < _RARE
