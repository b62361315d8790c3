"""`Census`: how many architectures a space holds, exactly; all of them as a list; and samples that prefer none.

There are far too many architectures to go through them, and patterns of expert layers, genes that layers share and
constraints forbid to multiply choices. So a space is cut into `cells` of known dimensions, depths and arrangement of
expert layers; a cell is a pair of `stacks` of layers; and a stack is a few `LayerChain`s, each of genes that have
nothing to do with those of the others.

Shape suffixes: N genomes, G genes of a genome.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from automoe.errors import SpaceError
from automoe.space.census.cells import Cell, cells_of
from automoe.space.census.conflicts import conflicts_of, is_empty
from automoe.space.census.expert_sets import num_expert_sets
from automoe.space.census.layer_chain import draw_index
from automoe.space.genome.codec import GenomeCodec
from automoe.space.genome.layout import layout_of
from automoe.space.search_space import SearchSpace

Ints = npt.NDArray[np.int64]


class Census:
    """Counts, lists and samples the architectures of a space; what was counted is kept.

    Args:
        space: the space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    def __reduce__(self) -> tuple[type[Census], tuple[SearchSpace]]:
        """What is pickled: the space; its numbers are counted again."""
        return type(self), (self.space,)

    @cached_property
    def num_raw(self) -> int:
        """Number of gene combinations: genes of absent layers and experts do not count, experts have an order."""
        return sum(cell.num for cell in cells_of(self.space, ordered=True))

    @cached_property
    def num_architectures(self) -> int:
        """Number of different architectures: experts of a layer have no order."""
        return sum(cell.num for cell in self._cells)

    @cached_property
    def num_expert_placements(self) -> int:
        """Number of different sets of layers, (side, index) each, that are the expert layers of some architecture."""
        return num_expert_sets(self._cells)

    @property
    def is_empty(self) -> bool:
        """Whether no architecture meets the constraints."""
        return not self._cells if "_cells" in vars(self) else is_empty(self.space)

    def refuse_empty(self) -> None:
        """Nothing, if there is any architecture.

        Raises:
            SpaceError: the space is empty; it names constraints that are to blame.
        """
        if not self.is_empty:
            return
        blamed, *_ = conflicts_of(self.space)
        raise SpaceError(
            f"no architecture of the space {self.space.name!r} meets {'it' if len(blamed) == 1 else 'all of them'}",
            key="constraints",
            value="; ".join(map(str, blamed)),
            hint="Drop or mend a constraint, or widen the choices",
        )

    def enumerate(self, limit: int = 1_000_000) -> Ints:
        """All architectures as canonical genomes, in ascending lexicographic order.

        Returns:
            int64 of shape (N, G), where N is `num_architectures`.

        Raises:
            SpaceError: there are more than `limit`.
        """
        if self.num_architectures > limit:
            raise SpaceError(
                f"the space {self.space.name!r} has too many architectures to list them all",
                key="num_architectures",
                value=self.num_architectures,
                allowed=f"at most {limit}",
                hint="Sample them, or narrow the space",
            )
        nothing = np.empty((0, len(layout_of(self.space).genes)), dtype=np.int64)
        return _ascending(self._canonical(np.concatenate([nothing, *(cell.listed() for cell in self._cells)])))

    def sample(self, num: int, rng: np.random.Generator) -> Ints:
        """Draws architectures, each with the same probability, as canonical genomes.

        `GenomeCodec.sample` draws every gene uniformly instead, so that an architecture is the rarer the more genes
        it has. Here every choice is drawn in proportion to the exact number of architectures behind it. These ratios
        are rounded to float64, so the distribution is within 10**-10 of the uniform one (total variation).

        Returns:
            int64 of shape (num, G).

        Raises:
            SpaceError: the space is empty.
        """
        self.refuse_empty()
        genome_NG = np.empty((num, len(layout_of(self.space).genes)), dtype=np.int64)
        cell_N = draw_index([cell.num for cell in self._cells], num, rng)
        for place in np.unique(cell_N):
            rows = np.flatnonzero(cell_N == place)
            genome_NG[rows] = self._cells[place].draw(len(rows), rng)
        return self._canonical(genome_NG)

    @cached_property
    def _cells(self) -> list[Cell]:
        return list(cells_of(self.space, ordered=False))

    def _canonical(self, genome_NG: Ints) -> Ints:
        """Layers that choose freely can happen to make an earlier pattern, and it is that which the genome names."""
        is_open = any(pattern.is_free for pattern in self.space.patterns)
        return GenomeCodec(self.space).canonical(genome_NG) if is_open and len(genome_NG) else genome_NG


def _ascending(genome_NG: Ints) -> Ints:
    """The rows in lexicographic order. Genes are packed into few numbers first, by which sorting takes a tenth."""
    if len(genome_NG) < 2:
        return genome_NG
    packed: list[Ints] = []
    free_bits = 0
    for gene_N in genome_NG.T:
        num_bits = int(gene_N.max()).bit_length()
        if num_bits > free_bits:
            packed.append(np.zeros(len(genome_NG), dtype=np.int64))
            free_bits = 63
        packed[-1] = (packed[-1] << num_bits) | gene_N if num_bits else packed[-1]
        free_bits -= num_bits
    return genome_NG[np.lexsort(packed[::-1])]
