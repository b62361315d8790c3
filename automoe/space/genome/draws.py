"""`GenomeDraws`: draws genes of many genomes at once.

Shape suffixes: N genomes, G genes of a genome, C choices of a gene.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from automoe.space.genes import Choices
from automoe.space.genome.layout import OFF, GenomeLayout
from automoe.space.genome.repair import GenomeRepair
from automoe.space.layer_sizes import Bools, Ints
from automoe.space.roles import Role


class GenomeDraws:
    """Draws the genes of one space, each uniformly from the choices that the others leave it.

    Args:
        layout: of the genomes.
        repair: of the genomes.
    """

    def __init__(self, layout: GenomeLayout, repair: GenomeRepair) -> None:
        self._layout, self._repair = layout, repair
        self._choices_GC = _padded([gene.choices for gene in layout.genes])
        self._num_choices_G = np.array([len(gene.choices) for gene in layout.genes], dtype=np.int64)
        self._limited = [(place, gene) for place, gene in enumerate(layout.genes) if gene.limit is not None]
        self._two_roles = [
            (place, genes.sizes["experts"])
            for place, genes in enumerate(layout.layers)
            if layout.pattern is not None and layout.genes[genes.sizes["experts"]].choices[0] == 1
        ]
        """Layers whose choices hold 1 beside others; a pattern that does not leave them free takes it away."""

    def as_groups(self, column_NG: npt.NDArray[np.generic]) -> None:
        """Gives the genes of each group what stands at the first of them, in place."""
        for group in self._layout.groups:
            column_NG[:, group.places] = column_NG[:, group.places[:1]]

    def redrawn(self, opened_NG: Ints, redrawn_NG: Bools, rng: np.random.Generator) -> Ints:
        """Draws the marked genes anew; those that a limit cuts from what it leaves of their choices.

        Args:
            opened_NG: genomes as `GenomeRepair.opened` makes them.
            redrawn_NG: which genes are drawn, alike in all genes of a group.
            rng: a generator.

        Returns:
            Canonical genomes of shape (N, G).
        """
        genes_G = np.arange(len(self._num_choices_G))
        chance_NG = rng.random(opened_NG.shape)
        self.as_groups(chance_NG)
        index_NG = (chance_NG * self._num_choices_G).astype(np.int64)
        drawn_NG = np.where(redrawn_NG, self._choices_GC[genes_G, index_NG], opened_NG)
        for layer, place in self._two_roles:
            num_more = self._num_choices_G[place] - 1
            if num_more:
                more_N = self._choices_GC[place, 1 + (chance_NG[:, place] * num_more).astype(np.int64)]
                is_bound_N = redrawn_NG[:, place] & (self._repair.roles(drawn_NG, layer) != Role.FREE)
                drawn_NG[:, place] = np.where(is_bound_N, more_N, drawn_NG[:, place])
        limit_NG = self._repair.agreed(drawn_NG)
        for place, gene in self._limited:
            choices = np.array(gene.choices, dtype=np.int64)
            num_left_N = np.minimum(np.searchsorted(choices, limit_NG[:, gene.limit]) + 1, len(choices))
            value_N = choices[(chance_NG[:, place] * num_left_N).astype(np.int64)]
            drawn_NG[:, place] = np.where(redrawn_NG[:, place], value_N, opened_NG[:, place])
        return self._repair.repaired(drawn_NG)


def _padded(rows: list[Choices]) -> Ints:
    """The rows as one array; what is behind the end of a row is never drawn."""
    width = max(map(len, rows))
    return np.array([(*row, *(OFF,) * (width - len(row))) for row in rows], dtype=np.int64)
