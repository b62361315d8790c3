"""`GenomeVariation`: children and neighbours of canonical genomes, within the constraints of their space.

Shape suffixes: N genomes, G genes of a genome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from automoe.space.genome.draws import GenomeDraws
from automoe.space.genome.layout import OFF, GenomeLayout
from automoe.space.genome.repair import GenomeRepair
from automoe.space.layer_sizes import Bools, Ints

_ROUNDS = 32
"""How often a child that breaks a constraint is made anew."""


class GenomeVariation:
    """Varies the genomes of one space.

    Args:
        layout: of the genomes.
        repair: of the genomes.
        draws: of the genomes.
        feasible: says which of N canonical genomes meet the constraints.
    """

    def __init__(
        self, layout: GenomeLayout, repair: GenomeRepair, draws: GenomeDraws, feasible: Callable[[Ints], Bools]
    ) -> None:
        self._layout, self._repair, self._draws, self._feasible = layout, repair, draws, feasible

    def mutants(self, parent_NG: Ints, rng: np.random.Generator, probability: float) -> Ints:
        """As `GenomeCodec.mutate`, for canonical parents that meet the constraints."""
        opened_NG = self._repair.opened(parent_NG)

        def mutants(rows_N: Ints) -> Ints:
            own_NG = opened_NG[rows_N]
            redrawn_NG = rng.random(own_NG.shape) < probability
            self._draws.as_groups(redrawn_NG)
            return self._draws.redrawn(own_NG, redrawn_NG | (own_NG == OFF), rng)

        return self._children(mutants, parent_NG)

    def crossed(self, a_NG: Ints, b_NG: Ints, rng: np.random.Generator) -> Ints:
        """As `GenomeCodec.cross`, for canonical parents that meet the constraints."""
        opened_a_NG, opened_b_NG = self._repair.opened(a_NG), self._repair.opened(b_NG)

        def crossed(rows_N: Ints) -> Ints:
            own_a_NG, own_b_NG = opened_a_NG[rows_N], opened_b_NG[rows_N]
            take_a_NG = rng.random(own_a_NG.shape) < 0.5
            self._draws.as_groups(take_a_NG)
            child_NG = np.where((take_a_NG & (own_a_NG != OFF)) | (own_b_NG == OFF), own_a_NG, own_b_NG)
            if self._layout.pattern is None and not self._layout.groups:
                return self._repair.repaired(child_NG)
            return self._draws.redrawn(child_NG, child_NG == OFF, rng)

        return self._children(crossed, a_NG)

    def neighbours(self, own_1G: Ints, places: Sequence[int]) -> Ints:
        """As `GenomeCodec.neighbours`, for a canonical genome."""
        genes = self._layout.genes
        opened_1G = self._repair.opened(own_1G)
        base_G = np.where(opened_1G == OFF, [gene.choices[0] for gene in genes], opened_1G)[0]
        led = {group.places[0]: group.places for group in self._layout.groups}
        changes = [(place, value) for place in places for value in genes[place].choices if value != base_G[place]]
        varied_NG = np.repeat(base_G[None], len(changes), axis=0)
        for row, (place, value) in enumerate(changes):
            varied_NG[row, led.get(place, place)] = value
        varied_NG = self._repair.repaired(varied_NG)
        varied_NG = varied_NG[(varied_NG != own_1G).any(axis=1) & self._feasible(varied_NG)]
        _, first_N = np.unique(varied_NG, axis=0, return_index=True)
        return varied_NG[np.sort(first_N)]

    def _children(self, make: Callable[[Ints], Ints], parent_NG: Ints) -> Ints:
        """Children of all parents, made anew until they meet the constraints; in the end the parent itself.

        Args:
            make: children of the parents in the given rows.
            parent_NG: what takes the place of a child that never meets them.
        """
        rows_N = np.arange(len(parent_NG))
        child_NG = make(rows_N)
        for _ in range(_ROUNDS):
            rows_N = rows_N[~self._feasible(child_NG[rows_N])]
            if not len(rows_N):
                return child_NG
            child_NG[rows_N] = make(rows_N)
        rows_N = rows_N[~self._feasible(child_NG[rows_N])]
        child_NG[rows_N] = parent_NG[rows_N]
        return child_NG
