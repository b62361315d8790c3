"""`GenomeCodec`: architectures as flat rows of whole numbers, so that a search can vary thousands of them at once.

Every architecture of a space has exactly one genome, the canonical one: all have the same length, whatever their
depth; genes of absent layers and experts are 0, and so are genes that follow another; the widths of a layer's experts
stand widest first; `top_k` and `cross_layers` are cut to the experts and encoder layers that exist. `genome_layout`
says which gene stands where.

Shape suffixes: N genomes, G genes of a genome, E experts of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.errors import SpaceError
from automoe.space.architecture import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    EncoderArch,
    EncoderLayerArch,
)
from automoe.space.genes import Choices
from automoe.space.genome_layout import OFF, GenomeGene, LayerGenes, layout_of
from automoe.space.misfit import misfit_of
from automoe.space.search_space import SearchSpace

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class LayerSizes:
    """The sizes of one layer in N architectures; those of architectures without the layer mean nothing."""

    side: str
    index: int
    present_N: Bools
    """Which architectures are deep enough to have the layer."""
    dim_N: Ints
    heads_N: Ints
    qkv_dim_N: Ints
    num_experts_N: Ints
    top_k_N: Ints
    width_NE: Ints
    """Widths of the experts, widest first, 0 where there is none."""


@dataclass(frozen=True, kw_only=True)
class DecoderLayerSizes(LayerSizes):
    """The sizes of one decoder layer in N architectures."""

    cross_heads_N: Ints
    cross_qkv_dim_N: Ints
    cross_layers_N: Ints


class GenomeCodec:
    """Translates between the architectures of one space and their genomes, and varies genomes.

    Whatever comes out is canonical int64 and belongs to an architecture of the space; no argument is changed.

    Args:
        space: the space of all architectures that come in and go out.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        layout = layout_of(space)
        self._genes, self._layers, self._sides = layout.genes, layout.layers, layout.sides
        self._choices_GC = _padded([gene.choices for gene in self._genes])
        self._num_choices_G = np.array([len(gene.choices) for gene in self._genes], dtype=np.int64)
        self._follows_G = np.array([gene.follows for gene in self._genes])
        self._values = np.unique([value for gene in self._genes for value in gene.legal]).astype(np.int64)
        """All values that any gene can have, ascending."""
        self._legal_GV = np.array([np.isin(self._values, gene.legal) for gene in self._genes])
        self._limited = [(place, gene) for place, gene in enumerate(self._genes) if gene.limit is not None]

    @property
    def num_genes(self) -> int:
        """Length of every genome."""
        return len(self._genes)

    @property
    def names(self) -> tuple[str, ...]:
        """One name for each gene, such as `encoder.layers[2].expert_widths[1]`; `encoder.layers` is the depth."""
        return tuple(gene.name for gene in self._genes)

    @property
    def choices(self) -> tuple[Choices, ...]:
        """What each gene is drawn from; `(0,)` where it follows another. `canonical` takes any combination."""
        return tuple(gene.choices for gene in self._genes)

    def encode(self, arch: Architecture) -> Ints:
        """The genome of an architecture.

        Returns:
            int64 of shape (G,).

        Raises:
            SpaceError: the architecture is not in the space; it names the first size that the space lacks.
        """
        if (misfit := misfit_of(arch, self.space)) is not None:
            raise misfit
        genome_G = np.full(self.num_genes, OFF, dtype=np.int64)
        sides: dict[str, EncoderArch | DecoderArch] = {"encoder": arch.encoder, "decoder": arch.decoder}
        for side, (dim, depth) in self._sides.items():
            genome_G[dim], genome_G[depth] = sides[side].dim, len(sides[side].layers)
        for genes in self._layers:
            if genes.index >= len(sides[genes.side].layers):
                continue
            layer = sides[genes.side].layers[genes.index]
            for key, place in genes.sizes.items():
                if not self._follows_G[place]:
                    genome_G[place] = layer.num_experts if key == "experts" else getattr(layer, key)
            genome_G[genes.widths][: layer.num_experts] = layer.expert_widths
        return genome_G

    def decode(self, genome_G: npt.NDArray[np.integer]) -> Architecture:
        """The architecture of a genome, canonical or not.

        Raises:
            SpaceError: the genome belongs to another space.
        """
        genome_1G = self.canonical(np.asarray(genome_G)[None])
        layers: dict[str, list[EncoderLayerArch]] = {"encoder": [], "decoder": []}
        for sizes in self.layer_sizes(genome_1G):
            if sizes.present_N[0]:
                layers[sizes.side].append(_first_layer(sizes))
        decoder = tuple(layer for layer in layers["decoder"] if isinstance(layer, DecoderLayerArch))
        return Architecture(
            encoder=EncoderArch(dim=int(genome_1G[0, self._sides["encoder"][0]]), layers=tuple(layers["encoder"])),
            decoder=DecoderArch(dim=int(genome_1G[0, self._sides["decoder"][0]]), layers=decoder),
        )

    def canonical(self, genome_NG: npt.NDArray[np.integer]) -> Ints:
        """Repairs genomes whose genes are, each for itself, legal, whatever the others are.

        Genes of absent layers and experts become 0, widths are put into order, and `top_k` and `cross_layers` are cut
        to what exists; one that was cut for an architecture that had less grows to its next choice. Where the experts
        of a layer share one width the first expert's counts. A canonical genome stays as it is.

        Raises:
            SpaceError: not of shape (N, G), not whole numbers, a value that its gene cannot have, or a 0 where the
                other genes ask for a size.
        """
        genome_NG = self._checked(genome_NG)
        repaired_NG = self._repaired(genome_NG)
        missing_NG = (repaired_NG == OFF) & self._present(genome_NG) & ~self._follows_G
        self._refuse(missing_NG, repaired_NG, "is 0, but the layer or expert is there")
        return repaired_NG

    def sample(self, num: int, rng: np.random.Generator) -> Ints:
        """Draws genomes, every gene uniformly as `SearchSpace.sample` does.

        Returns:
            int64 of shape (num, G).
        """
        nothing_NG = np.full((num, self.num_genes), OFF, dtype=np.int64)
        return self._redrawn(nothing_NG, np.ones_like(nothing_NG, dtype=np.bool_), rng)

    def mutate(self, genome_NG: npt.NDArray[np.integer], rng: np.random.Generator, probability: float) -> Ints:
        """Draws each gene anew with a probability; the sizes of layers and experts that come into being are drawn.

        Raises:
            SpaceError: as `canonical` does.
        """
        genome_NG = self.canonical(genome_NG)
        redrawn_NG = rng.random(genome_NG.shape) < probability
        return self._redrawn(genome_NG, redrawn_NG | (genome_NG == OFF), rng)

    def cross(self, a_NG: npt.NDArray[np.integer], b_NG: npt.NDArray[np.integer], rng: np.random.Generator) -> Ints:
        """Uniform crossover, row by row: every gene comes from one parent or the other, with equal chance.

        A gene that is absent in one parent comes from the other. If a layer or expert is in the child, then it is in
        the parent that the number comes from, so nothing needs to be drawn.

        Raises:
            SpaceError: as `canonical` does, or the parents are not equally many.
        """
        a_NG, b_NG = self.canonical(a_NG), self.canonical(b_NG)
        if a_NG.shape != b_NG.shape:
            raise SpaceError(
                "both parents must be equally many",
                key="parents",
                value=(len(a_NG), len(b_NG)),
                hint="Pair them first",
            )
        take_a_NG = rng.random(a_NG.shape) < 0.5
        return self._repaired(np.where((take_a_NG & (a_NG != OFF)) | (b_NG == OFF), a_NG, b_NG))

    def layer_sizes(self, genome_NG: Ints) -> Iterator[LayerSizes]:
        """The sizes of every layer that some architecture of the space has, each gene that follows resolved.

        Args:
            genome_NG: canonical genomes.
        """
        for genes in self._layers:
            column = {key: genome_NG[:, place] for key, place in genes.sizes.items()}
            dim_N = genome_NG[:, genes.dim]
            qkv_dim_N = _or_followed(column["qkv_dim"], dim_N)
            common: dict[str, Any] = {
                "side": genes.side,
                "index": genes.index,
                "present_N": genome_NG[:, genes.depth] > genes.index,
                "dim_N": dim_N,
                "heads_N": column["heads"],
                "qkv_dim_N": qkv_dim_N,
                "num_experts_N": column["experts"],
                "top_k_N": column["top_k"],
                "width_NE": genome_NG[:, genes.widths],
            }
            if genes.side == "encoder":
                yield LayerSizes(**common)
            else:
                yield DecoderLayerSizes(
                    **common,
                    cross_heads_N=_or_followed(column["cross_heads"], column["heads"]),
                    cross_qkv_dim_N=_or_followed(column["cross_qkv_dim"], qkv_dim_N),
                    cross_layers_N=column["cross_layers"],
                )

    def _checked(self, given_NG: npt.NDArray[np.integer]) -> Ints:
        given_NG = np.asarray(given_NG)
        if given_NG.ndim != 2 or given_NG.shape[1] != self.num_genes or given_NG.dtype.kind not in "iu":
            raise SpaceError(
                f"a genome of the space {self.space.name!r} is {self.num_genes} whole numbers",
                key="genome",
                value=f"{given_NG.dtype} of shape {given_NG.shape}",
                hint="Use the space that the genome was made for",
            )
        genome_NG = given_NG.astype(np.int64)
        place_NG = np.searchsorted(self._values, genome_NG).clip(max=len(self._values) - 1)
        known_NG = self._values[place_NG] == genome_NG
        legal_NG = known_NG & self._legal_GV[np.arange(self.num_genes), place_NG]
        self._refuse(~legal_NG, genome_NG, f"is no choice of the space {self.space.name!r}")
        return genome_NG

    def _refuse(self, wrong_NG: Bools, genome_NG: Ints, problem: str) -> None:
        if wrong_NG.any():
            row, place = np.argwhere(wrong_NG)[0]
            gene = self._genes[place]
            raise SpaceError(
                problem,
                key=gene.name,
                value=int(genome_NG[row, place]),
                allowed=", ".join(map(str, gene.legal)),
                hint="Use the space that the genome was made for",
            )

    def _present(self, genome_NG: Ints) -> Bools:
        """Which genes belong to layers and experts that are there."""
        present_NG = np.ones(genome_NG.shape, dtype=np.bool_)
        for genes in self._layers:
            present_NG[:, genes.all] = genome_NG[:, genes.depth, None] > genes.index
            present_NG[:, genes.widths] &= self._has_expert(genome_NG, genes)
        return present_NG

    def _has_expert(self, genome_NG: Ints, genes: LayerGenes) -> Bools:
        slots_E = np.arange(genes.widths.stop - genes.widths.start)
        return np.asarray(slots_E < genome_NG[:, genes.sizes["experts"], None])

    def _repaired(self, genome_NG: Ints) -> Ints:
        """The canonical form of genomes whose present genes have legal values."""
        repaired_NG = genome_NG.copy()
        for place, gene in self._limited:
            repaired_NG[:, place] = _cut(genome_NG[:, place], gene, genome_NG[:, gene.limit])
        for genes in self._layers:
            if genes.one_width:
                repaired_NG[:, genes.widths] = genome_NG[:, genes.widths][:, :1]
        repaired_NG[~self._present(genome_NG)] = OFF
        for genes in self._layers:
            repaired_NG[:, genes.widths] = np.sort(repaired_NG[:, genes.widths], axis=1)[:, ::-1]  # OFF comes last
        return repaired_NG

    def _redrawn(self, genome_NG: Ints, redrawn_NG: Bools, rng: np.random.Generator) -> Ints:
        """Draws the marked genes anew; those that a limit cuts from what it leaves of their choices."""
        chance_NG = rng.random(genome_NG.shape)
        index_NG = (chance_NG * self._num_choices_G).astype(np.int64)
        drawn_NG = np.where(redrawn_NG, self._choices_GC[np.arange(self.num_genes), index_NG], genome_NG)
        for place, gene in self._limited:
            choices = np.array(gene.choices, dtype=np.int64)
            num_left_N = np.minimum(np.searchsorted(choices, drawn_NG[:, gene.limit]) + 1, len(choices))
            value_N = choices[(chance_NG[:, place] * num_left_N).astype(np.int64)]
            drawn_NG[:, place] = np.where(redrawn_NG[:, place], value_N, genome_NG[:, place])
        return self._repaired(drawn_NG)


def _cut(value_N: Ints, gene: GenomeGene, limit_N: Ints) -> Ints:
    """The choice that is `value_N` or, where a lower limit had cut it, the next one above; at most the limit."""
    choices = np.array(gene.choices, dtype=np.int64)
    place_N = np.searchsorted(choices, value_N).clip(max=len(choices) - 1)
    return np.where(value_N == OFF, OFF, np.minimum(choices[place_N], limit_N))


def _or_followed(value_N: Ints, followed_N: Ints) -> Ints:
    return np.where(value_N == OFF, followed_N, value_N)


def _padded(rows: list[Choices]) -> Ints:
    """The rows as one array; what is behind the end of a row is never drawn."""
    width = max(map(len, rows))
    return np.array([(*row, *(OFF,) * (width - len(row))) for row in rows], dtype=np.int64)


def _first_layer(sizes: LayerSizes) -> EncoderLayerArch:
    """The layer of the first architecture."""
    own = {
        "heads": int(sizes.heads_N[0]),
        "qkv_dim": int(sizes.qkv_dim_N[0]),
        "top_k": int(sizes.top_k_N[0]),
    }
    widths = tuple(sizes.width_NE[0, : sizes.num_experts_N[0]].tolist())
    if not isinstance(sizes, DecoderLayerSizes):
        return EncoderLayerArch(expert_widths=widths, **own)
    return DecoderLayerArch(
        expert_widths=widths,
        **own,
        cross_heads=int(sizes.cross_heads_N[0]),
        cross_qkv_dim=int(sizes.cross_qkv_dim_N[0]),
        cross_layers=int(sizes.cross_layers_N[0]),
    )
