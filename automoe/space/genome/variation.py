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
        sample: draws genomes that meet them.
    """

    def __init__(
        self,
        layout: GenomeLayout,
        repair: GenomeRepair,
        draws: GenomeDraws,
        feasible: Callable[[Ints], Bools],
        sample: Callable[[int, np.random.Generator], Ints],
    ) -> None:
        self._layout, self._repair, self._draws, self._feasible = layout, repair, draws, feasible
        self._sample = sample

    def mutants(self, parent_NG: Ints, rng: np.random.Generator, probability: float) -> Ints:
        """As `GenomeCodec.mutate`, for canonical parents that meet the constraints."""
        opened_NG = self._repair.opened(parent_NG)

        def mutants(rows_N: Ints) -> Ints:
            own_NG = opened_NG[rows_N]
            redrawn_NG = rng.random(own_NG.shape) < probability
            self._draws.as_groups(redrawn_NG)
            return self._draws.redrawn(own_NG, redrawn_NG | (own_NG == OFF), rng)

        child_NG, failed_N = self._children(mutants, parent_NG)
        if len(failed_N):
            child_NG[failed_N] = self._sample(len(failed_N), rng)
        return child_NG

    def crossed(self, a_NG: Ints, b_NG: Ints, rng: np.random.Generator) -> Ints:
        """As `GenomeCodec.cross`, for canonical parents that meet the constraints."""
        opened_a_NG, opened_b_NG = self._repair.opened(a_NG), self._repair.opened(b_NG)

        def crossed(rows_N: Ints) -> Ints:
            return self._mixed(
                opened_a_NG[rows_N], opened_b_NG[rows_N], rng.random((len(rows_N), num_genes)) < 0.5, rng
            )

        num_genes = a_NG.shape[1]
        child_NG, failed_N = self._children(crossed, a_NG, b_NG)
        if len(failed_N):
            of_encoder_G = np.arange(num_genes) < self._layout.sides["decoder"][0]
            take_a_NG = (rng.random(len(failed_N)) < 0.5)[:, None] == of_encoder_G
            halves_NG = self._mixed(opened_a_NG[failed_N], opened_b_NG[failed_N], take_a_NG, rng)
            child_NG[failed_N] = np.where(self._feasible(halves_NG)[:, None], halves_NG, a_NG[failed_N])
        return child_NG

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

    def _mixed(self, opened_a_NG: Ints, opened_b_NG: Ints, take_a_NG: Bools, rng: np.random.Generator) -> Ints:
        """Children whose genes come from the marked parents; a gene that is absent in one comes from the other."""
        self._draws.as_groups(take_a_NG)
        child_NG = np.where((take_a_NG & (opened_a_NG != OFF)) | (opened_b_NG == OFF), opened_a_NG, opened_b_NG)
        if self._layout.pattern is None and not self._layout.groups:
            return self._repair.repaired(child_NG)
        return self._draws.redrawn(child_NG, child_NG == OFF, rng)

    def _children(self, make: Callable[[Ints], Ints], *parents_NG: Ints) -> tuple[Ints, Ints]:
        """Children, made anew until they meet the constraints, and the rows of those that never did.

        A child that is made anew has to differ from its parents: where few children are feasible these are the ones
        that come back most often.

        Args:
            make: children in the given rows.
            parents_NG: of all children.
        """
        rows_N = np.arange(len(parents_NG[0]))
        child_NG = make(rows_N)
        rows_N = rows_N[~self._feasible(child_NG)]
        for _ in range(_ROUNDS):
            if not len(rows_N):
                break
            again_NG = child_NG[rows_N] = make(rows_N)
            is_new_N = np.logical_and.reduce([(again_NG != own_NG[rows_N]).any(axis=1) for own_NG in parents_NG])
            rows_N = rows_N[~(is_new_N & self._feasible(again_NG))]
        return child_NG, rows_N
