"""`CmaEs`: the covariance matrix adaptation evolution strategy (Hansen 2016) on the places of choices.

Optuna's sampler of this name keeps its state in the trials that it suggested itself. Here the package `cmaes`, which
that sampler drives, is driven through what was told: so its state depends on nothing else.

Shape suffixes: N genomes, G genes, F free genes that have a choice, M objectives.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from automoe.errors import DependencyError
from automoe.search.evaluator import Floats
from automoe.search.optuna_genes import GeneParameters, Ints
from automoe.search.searchers.optuna_study import Pool, Suggest
from automoe.space import GenomeCodec

_STEP = 1 / 6
"""Standard deviation at the beginning, of the range of a gene."""


class CmaEs:
    """A normal distribution over all free genes that moves to where the best of each generation lay.

    Args:
        codec: of the space.
        population: genomes of a generation, at least 4.

    Raises:
        DependencyError: the package `cmaes` is not installed.
    """

    def __init__(self, codec: GenomeCodec, population: int) -> None:
        try:
            import cmaes
        except ImportError:
            raise DependencyError("cmaes", extra="search") from None
        self._parameters = GeneParameters(codec, ordered=True)
        self._num_choices_F = np.array(self._parameters.num_choices)
        self._population = population
        self._generation: list[tuple[Floats, float]] = []
        num = len(self._num_choices_F)
        self._strategy: Any = num and cmaes.CMA(
            mean=np.full(num, 0.5),
            sigma=_STEP,
            bounds=np.tile([0.0, 1.0], (num, 1)),
            n_max_resampling=10 * num,
            population_size=population,
            seed=0,  # of nothing: it is set for each asking
        )

    def tell(self, genome_NG: Ints, value_NM: Floats) -> None:
        """Moves the distribution after each full generation.

        Args:
            genome_NG: canonical.
            value_NM: their objective, of shape (N, 1).
        """
        for index_F, value in zip(self._parameters.indices_of(genome_NG), value_NM[:, 0].tolist(), strict=True):
            self._generation.append(((index_F + 0.5) / self._num_choices_F, value))
            if len(self._generation) == self._population:
                if self._strategy:
                    self._strategy.tell(self._generation)
                self._generation = []

    @contextmanager
    def asking(self, seed: int, pending_NG: Ints, pool: Pool) -> Iterator[Suggest]:
        """As `StudySampler.asking`; what is pending and the pool change nothing."""
        if self._strategy:
            self._strategy.reseed_rng(seed)

        def suggest() -> Ints:
            point_F = self._strategy.ask() if self._strategy else np.zeros(0)
            index_F = np.floor(point_F * self._num_choices_F).astype(np.int64)
            return self._parameters.genomes_at(index_F.clip(max=self._num_choices_F - 1)[None])

        yield suggest
