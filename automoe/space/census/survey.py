"""`Survey`: the architectures of a space, all of them or a sample, for questions about any of their properties.

Shape suffixes: N architectures, G genes of a genome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from automoe.space.genome.codec import GenomeCodec
from automoe.space.search_space import SearchSpace

Ints = npt.NDArray[np.int64]
Cost = Callable[[Ints], npt.NDArray[np.number]]
"""Costs of shape (N,) of canonical genomes of shape (N, G)."""

MOST_LISTED = 200_000
"""Architectures that are all looked at; of a larger space a sample is."""
NUM_SAMPLES = 50_000
_Z = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which part of a space has some property."""

    value: float
    lower: float
    upper: float
    """95 % interval (Wilson 1927, score interval) where it was estimated."""
    exact: bool
    """Whether every architecture was looked at."""

    def __str__(self) -> str:
        return f"{self.value:.3%}" if self.exact else f"{self.value:.3%} ({self.lower:.3%} to {self.upper:.3%})"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Architectures that stand for a space."""

    space: SearchSpace
    genome_NG: Ints
    """Canonical genomes: all architectures in ascending order, or a sample that prefers none."""
    exact: bool
    """Whether they are all."""

    @classmethod
    def of(cls, space: SearchSpace, rng: np.random.Generator) -> Survey:
        """Lists the architectures of a space, or draws `NUM_SAMPLES` if there are more than `MOST_LISTED`.

        Raises:
            SpaceError: no architecture meets the constraints of the space.
        """
        census = space.census
        census.refuse_empty()
        exact = census.num_architectures <= MOST_LISTED
        genome_NG = census.enumerate(MOST_LISTED) if exact else census.sample(NUM_SAMPLES, rng)
        return cls(space=space, genome_NG=genome_NG, exact=exact)

    def share(self, keeps: Callable[[Ints], npt.NDArray[np.bool_]]) -> Share:
        """The share of the architectures for which `keeps`, given genomes of shape (N, G), says true."""
        num, num_kept = len(self.genome_NG), int(np.count_nonzero(keeps(self.genome_NG)))
        if self.exact:
            return Share(value=num_kept / num, lower=num_kept / num, upper=num_kept / num, exact=True)
        lower, upper = _wilson(num_kept, num)
        return Share(value=num_kept / num, lower=lower, upper=upper, exact=False)

    def median(self, cost: Cost) -> Ints:
        """The genome of shape (G,) of the median architecture by a cost; of two, the cheaper."""
        order = np.argsort(cost(self.genome_NG), kind="stable")
        return self.genome_NG[order[(len(order) - 1) // 2]]

    def cheapest(self, cost: Cost) -> Ints:
        """The genome of shape (G,) of the cheapest architecture; where this is a sample, of that and the extremes."""
        genome_NG = self._with_extremes()
        return genome_NG[np.argmin(cost(genome_NG))]

    def dearest(self, cost: Cost) -> Ints:
        """The genome of shape (G,) of the dearest architecture; where this is a sample, of that and the extremes."""
        genome_NG = self._with_extremes()
        return genome_NG[np.argmax(cost(genome_NG))]

    def _with_extremes(self) -> Ints:
        if self.exact:
            return self.genome_NG
        codec = GenomeCodec(self.space)
        extremes = [codec.encode(arch) for arch in (self.space.smallest(), self.space.largest())]
        return np.concatenate([extremes, self.genome_NG])


def _wilson(num_kept: int, num: int) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927), which is honest for shares near 0 and 1 too."""
    share, weight = num_kept / num, _Z**2 / num
    middle = (share + weight / 2) / (1 + weight)
    reach = _Z * sqrt(share * (1 - share) / num + weight / (4 * num)) / (1 + weight)
    return (middle - reach if num_kept else 0.0), (middle + reach if num_kept < num else 1.0)
