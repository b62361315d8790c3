"""`GenomeRepair`: brings genomes into their canonical form, and opens it up again for what varies them.

Shape suffixes: N genomes, G genes of a genome, E experts of a layer, L layers of the deepest model, M layers of
a group, P patterns of expert layers, D depths from 0 on.
"""

from __future__ import annotations

import numpy as np

from automoe.space.genome.layout import OFF, GeneGroup, GenomeGene, GenomeLayout, LayerGenes
from automoe.space.layer_sizes import Bools, Ints
from automoe.space.roles import Role, role_of
from automoe.space.search_space import SearchSpace


class GenomeRepair:
    """The canonical form of the genomes of one space.

    Args:
        space: the space.
        layout: of its genomes.
    """

    def __init__(self, space: SearchSpace, layout: GenomeLayout) -> None:
        self._layout = layout
        self._limited = [(place, gene) for place, gene in enumerate(layout.genes) if gene.limit is not None]
        self._role_LPD = _roles(space, layout)
        self._is_free_P = np.array([pattern.is_free for pattern in space.patterns], dtype=np.bool_)
        self._counts = [space.sides[genes.side].layers[genes.index].experts.count for genes in layout.layers]
        self._moves_experts = layout.pattern is not None or any(group.key == "experts" for group in layout.groups)

    def repaired(self, genome_NG: Ints) -> Ints:
        """The canonical form of genomes whose present genes have legal values."""
        agreed_NG = self.agreed(genome_NG)
        repaired_NG = agreed_NG.copy()
        for place, gene in self._limited:
            repaired_NG[:, place] = _cut(agreed_NG[:, place], gene, agreed_NG[:, gene.limit])
        for genes in self._layout.layers:
            if genes.one_width:
                repaired_NG[:, genes.widths] = agreed_NG[:, genes.widths][:, :1]
        repaired_NG[~self.present(agreed_NG)] = OFF
        for genes in self._layout.layers:
            repaired_NG[:, genes.widths] = np.sort(repaired_NG[:, genes.widths], axis=1)[:, ::-1]  # OFF comes last
        if self._layout.pattern is not None:
            repaired_NG[:, self._layout.pattern] = self._first_pattern(repaired_NG)
        return repaired_NG

    def agreed(self, genome_NG: Ints) -> Ints:
        """The genomes with the numbers of experts that their patterns ask for, and one value in each group."""
        if not (self._layout.groups or self._moves_experts):
            return genome_NG
        agreed_NG = genome_NG.copy()
        for group in self._layout.groups:
            agreed_NG[:, group.places] = self._agreed_value(group, genome_NG)[:, None]
        if self._layout.pattern is not None:
            for place, genes in enumerate(self._layout.layers):
                column = genes.sizes["experts"]
                counts = self._counts[place]
                agreed_NG[:, column] = _by_role(agreed_NG[:, column], self.roles(genome_NG, place), counts)
        if self._moves_experts:
            self._fill_widths(agreed_NG, genome_NG)
        return agreed_NG

    def present(self, genome_NG: Ints) -> Bools:
        """Which genes belong to layers and experts that are there."""
        present_NG = np.ones(genome_NG.shape, dtype=np.bool_)
        for genes in self._layout.layers:
            present_NG[:, genes.all] = genome_NG[:, genes.depth, None] > genes.index
            present_NG[:, genes.widths] &= _slots(genes) < genome_NG[:, genes.sizes["experts"], None]
        return present_NG

    def opened(self, canonical_NG: Ints) -> Ints:
        """Canonical genomes in which each group's value stands in all its genes, also those of absent layers.

        The number of experts of a layer that is dense by pattern is off: nobody has chosen it.
        """
        opened_NG = canonical_NG.copy()
        if self._layout.pattern is not None:
            for place, genes in enumerate(self._layout.layers):
                is_dense_N = self.roles(canonical_NG, place) == Role.DENSE
                opened_NG[is_dense_N, genes.sizes["experts"]] = OFF
        for group in self._layout.groups:
            opened_NG[:, group.places] = opened_NG[:, group.places].max(axis=1, keepdims=True)
        return opened_NG

    def roles(self, genome_NG: Ints, place: int) -> Ints:
        """What the patterns say of the layer at `place` of the layout: `Role` of shape (N,)."""
        if self._layout.pattern is None:
            return np.full(len(genome_NG), Role.FREE, dtype=np.int64)
        depth_N = genome_NG[:, self._layout.layers[place].depth]
        found_N: Ints = self._role_LPD[place, genome_NG[:, self._layout.pattern] - 1, depth_N]
        return found_N

    def _agreed_value(self, group: GeneGroup, genome_NG: Ints) -> Ints:
        """The value of a group: its first layer's; the largest where it is cut in each layer for itself.

        A number of experts is the first above 1 where a pattern makes other layers of the group dense.
        """
        value_NM = genome_NG[:, group.places]
        present_NM = genome_NG[:, group.depth, None] > np.array(group.indices)
        most_N: Ints = np.where(present_NM, value_NM, OFF).max(axis=1)
        if group.is_cut:
            return most_N
        if group.key != "experts" or self._layout.pattern is None:
            first_N: Ints = value_NM[:, 0]  # the first layer of a group is there if any of it is
            return first_N
        is_free_N = self._is_free_P[genome_NG[:, self._layout.pattern] - 1]
        decides_NM = present_NM & (is_free_N[:, None] | (value_NM > 1))
        chosen_N = value_NM[np.arange(len(value_NM)), decides_NM.argmax(axis=1)]
        return np.where(decides_NM.any(axis=1), chosen_N, most_N)

    def _fill_widths(self, agreed_NG: Ints, genome_NG: Ints) -> None:
        """Gives experts that only a pattern or a group has brought into being the smallest width."""
        for genes in self._layout.layers:
            column = genes.sizes["experts"]
            given_NE = _slots(genes) < genome_NG[:, column, None]
            now_NE = _slots(genes) < agreed_NG[:, column, None]
            width_NE = agreed_NG[:, genes.widths]
            least_E = np.array([gene.choices[0] for gene in self._layout.genes[genes.widths]])
            agreed_NG[:, genes.widths] = np.where(now_NE & ~given_NE & (width_NE == OFF), least_E, width_NE)

    def _first_pattern(self, repaired_NG: Ints) -> Ints:
        """The first pattern, from 1, that the architectures match."""
        pattern_N = repaired_NG[:, 0].copy()
        for pattern in range(len(self._is_free_P) - 1, 0, -1):
            pattern_N = np.where(self._matches(repaired_NG, pattern), np.minimum(pattern_N, pattern), pattern_N)
        return pattern_N

    def _matches(self, repaired_NG: Ints, pattern: int) -> Bools:
        """Whether the numbers of experts are as the pattern, from 1, asks for."""
        matches_N = np.ones(len(repaired_NG), dtype=np.bool_)
        depth_NL = repaired_NG[:, [genes.depth for genes in self._layout.layers]]
        count_NL = repaired_NG[:, [genes.sizes["experts"] for genes in self._layout.layers]]
        for place, genes in enumerate(self._layout.layers):
            role_N, count_N = self._role_LPD[place, pattern - 1, depth_NL[:, place]], count_NL[:, place]
            is_dense_N = count_N == 1
            asked_N = np.where(role_N == Role.FREE, ~is_dense_N | (1 in self._counts[place]), is_dense_N)
            asked_N = np.where(role_N == Role.EXPERTS, ~is_dense_N, asked_N)
            matches_N &= asked_N | (depth_NL[:, place] <= genes.index)
        for group in self._layout.groups:
            if group.key == "experts":
                count_NM = count_NL[:, group.layers]
                has_NM = count_NM > (OFF if self._is_free_P[pattern - 1] else 1)
                least_N = np.where(has_NM, count_NM, np.iinfo(np.int64).max).min(axis=1)
                matches_N &= (count_NM == least_N[:, None]).sum(axis=1) == has_NM.sum(axis=1)
        return matches_N


def _roles(space: SearchSpace, layout: GenomeLayout) -> Ints:
    """What each pattern says of each layer, for each depth of its side."""
    deepest = max(side.depth[-1] for side in space.sides.values())
    roles = [
        [[role_of(pattern, genes.side, genes.index, depth) for depth in range(deepest + 1)]
         for pattern in space.patterns]
        for genes in layout.layers
    ]  # fmt: skip
    return np.array(roles, dtype=np.int64)


def _by_role(count_N: Ints, role_N: Ints, counts: tuple[int, ...]) -> Ints:
    """Numbers of experts as the roles of their layer ask for, where there is one; what was 1 becomes the smallest."""
    more = Role.EXPERTS.left_of(counts)
    least_N = np.where(role_N == Role.EXPERTS, more[0] if more else 1, counts[0])
    grown_N = np.where(count_N == 1, least_N, count_N)
    return np.where(role_N == Role.DENSE, 1, grown_N)


def _slots(genes: LayerGenes) -> Ints:
    return np.arange(genes.widths.stop - genes.widths.start)


def _cut(value_N: Ints, gene: GenomeGene, limit_N: Ints) -> Ints:
    """The choice that is `value_N` or, where a lower limit had cut it, the next one above; at most the limit."""
    choices = np.array(gene.choices, dtype=np.int64)
    place_N = np.searchsorted(choices, value_N).clip(max=len(choices) - 1)
    return np.where(value_N == OFF, OFF, np.minimum(choices[place_N], limit_N))
