"""`GenomeCodec`: architectures as flat rows of whole numbers, so that a search can vary thousands of them at once.

Every architecture of a space has exactly one genome, the canonical one: all have the same length, whatever their
depth; genes of absent layers and experts are 0, and so are genes that follow another; the widths of a layer's experts
stand widest first; `top_k` and `cross_layers` are cut to the experts and encoder layers that exist; layers that share
a gene have one value; the pattern of expert layers is the first that the architecture matches. `layout` says
which gene stands where, `repair` makes genomes canonical, `draws` draws genes, `sampling` draws what meets the
constraints, `variation` makes children and neighbours.

Shape suffixes: N genomes, G genes of a genome, V values of genes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from automoe.space.feasible import broken_error, meets
from automoe.space.genes import Choices
from automoe.space.genome.draws import GenomeDraws
from automoe.space.genome.hash import Hashes, hashes_of
from automoe.space.genome.layout import OFF, LayerGenes, layout_of
from automoe.space.genome.repair import GenomeRepair
from automoe.space.genome.sampling import GenomeSampling
from automoe.space.genome.variation import GenomeVariation
from automoe.space.layer_sizes import Bools, DecoderLayerSizes, Ints, LayerSizes
from automoe.space.misfit import misfit_of
from automoe.space.search_space import SearchSpace

_RECENT = 8192
"""Architectures and layers that are kept at hand."""


class GenomeCodec:
    """Translates between the architectures of one space and their genomes, and varies genomes.

    Whatever comes out is canonical int64; what is sampled or varied is in the space. No argument is changed.

    Args:
        space: the space of all architectures that come in and go out.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._layout = layout_of(space)
        self._genes, self._layers, self._sides = self._layout.genes, self._layout.layers, self._layout.sides
        self._follows_G = np.array([gene.follows for gene in self._genes])
        self._values = np.unique([value for gene in self._genes for value in gene.legal]).astype(np.int64)
        """All values that any gene can have, ascending."""
        self._legal_GV = np.array([np.isin(self._values, gene.legal) for gene in self._genes])
        self._repair = GenomeRepair(space, self._layout)
        self._draws = GenomeDraws(self._layout, self._repair)
        self._sampling = GenomeSampling(space, self.draw, self._feasible)
        self._variation = GenomeVariation(
            self._layout, self._repair, self._draws, self._feasible, self._sampling.sampled
        )
        self._recent: dict[int, tuple[Architecture, Ints]] = {}
        """What was decoded lately, by identity: most of what a search encodes it has just decoded."""
        self._built_layers: dict[tuple[int, ...], EncoderLayerArch] = {}
        """Layers by the place of their genes and these: a few thousand make millions of architectures."""

    def __reduce__(self) -> tuple[type[GenomeCodec], tuple[SearchSpace]]:
        """What is pickled: the space, from which all else is made again."""
        return type(self), (self.space,)

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

    @property
    def free(self) -> tuple[int, ...]:
        """Places of the genes that a searcher chooses: those that neither follow another nor are led by one.

        The first layer of a group leads the others, the first of a layer's experts those that share its width. What
        stands at the other places counts for nothing in `canonical`, if it is the first of their `choices`.
        """
        led = self._layout.led
        return tuple(place for place, gene in enumerate(self._genes) if place not in led and not gene.follows)

    @property
    def pattern_place(self) -> int | None:
        """The place of the gene of the pattern of expert layers, from 1 in `space.patterns`; None if it has none."""
        return self._layout.pattern

    def encode(self, arch: Architecture) -> Ints:
        """The genome of an architecture.

        Returns:
            int64 of shape (G,).

        Raises:
            SpaceError: the architecture is not in the space; it names the first size that the space lacks.
        """
        recent = self._recent.get(id(arch))
        if recent is not None and recent[0] is arch:
            return recent[1].copy()
        if (misfit := misfit_of(arch, self.space)) is not None:
            raise misfit
        genome_G = np.full(self.num_genes, OFF, dtype=np.int64)
        if self._layout.pattern is not None:
            genome_G[self._layout.pattern] = (self.space.pattern_of(arch) or 0) + 1
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
            SpaceError: the genome belongs to another space, or breaks a constraint of this one.
        """
        return self.decode_all(np.asarray(genome_G)[None])[0]

    def decode_all(self, genome_NG: npt.NDArray[np.integer]) -> list[Architecture]:
        """The architectures of many genomes, in less time than one by one.

        Raises:
            SpaceError: as `decode` does.
        """
        canonical_NG = self._members(genome_NG)
        archs = [self._built(row) for row in canonical_NG.tolist()]
        if len(archs) <= _RECENT:
            if len(self._recent) + len(archs) > _RECENT:
                self._recent.clear()
            # Copies, since a row that is a view keeps the whole batch in memory.
            self._recent |= {id(arch): (arch, genome_G.copy()) for arch, genome_G in zip(archs, canonical_NG,
                                                                                         strict=True)}  # fmt: skip
        return archs

    def canonical(self, genome_NG: npt.NDArray[np.integer]) -> Ints:
        """Repairs genomes whose genes are, each for itself, legal, whatever the others are.

        Genes of absent layers and experts become 0, widths are put into order, and `top_k` and `cross_layers` are cut
        to what exists; one that was cut for an architecture that had less grows to its next choice. Where the experts
        of a layer share one width the first expert's counts. Layers that share a gene take it from the first of them,
        a `top_k` or `cross_layers` from the largest, a number of experts from the first that has more than one where
        a pattern makes others dense. Experts that a pattern or a group brings into being are as few and as narrow as
        can be. A canonical genome stays as it is. Constraints are not looked at.

        Raises:
            SpaceError: not of shape (N, G), not whole numbers, a value that its gene cannot have, or a 0 where the
                other genes ask for a size.
        """
        genome_NG = self._checked(genome_NG)
        repaired_NG = self._repair.repaired(genome_NG)
        missing_NG = (repaired_NG == OFF) & self._repair.present(repaired_NG) & ~self._follows_G
        self._refuse(missing_NG, repaired_NG, "is 0, but the layer or expert is there")
        return repaired_NG

    def feasible(self, genome_NG: npt.NDArray[np.integer]) -> Bools:
        """Which genomes, canonical or not, meet all constraints of the space.

        Returns:
            bool of shape (N,).

        Raises:
            SpaceError: as `canonical` does.
        """
        return self._feasible(self.canonical(genome_NG))

    def hashes(self, genome_NG: npt.NDArray[np.integer]) -> Hashes:
        """A number for each architecture, the same in every process.

        Equal architectures have equal hashes, and different ones different hashes, but for a chance of 2 ** -64.

        Returns:
            uint64 of shape (N,).

        Raises:
            SpaceError: as `canonical` does.
        """
        return hashes_of(self.canonical(genome_NG))

    def draw(self, num: int, rng: np.random.Generator) -> Ints:
        """Draws genomes, every gene uniformly as `SearchSpace.sample` does, whether they meet the constraints or not.

        Returns:
            int64 of shape (num, G).
        """
        nothing_NG = np.full((num, self.num_genes), OFF, dtype=np.int64)
        return self._draws.redrawn(nothing_NG, np.ones_like(nothing_NG, dtype=np.bool_), rng)

    def sample(self, num: int, rng: np.random.Generator) -> Ints:
        """Draws genomes of the space, every gene uniformly; those that break a constraint are thrown away.

        Where the constraints leave fewer than about one draw in 500, every architecture has the same chance instead
        (`Census.sample`): which of the two it is, is a matter of the space alone.

        Returns:
            int64 of shape (num, G).

        Raises:
            SpaceError: no architecture meets the constraints.
        """
        return self._sampling.sampled(num, rng)

    def mutate(self, genome_NG: npt.NDArray[np.integer], rng: np.random.Generator, probability: float) -> Ints:
        """Draws each gene anew with a probability; the sizes of layers and experts that come into being are drawn.

        A gene that layers share is one gene. A child that breaks a constraint is drawn anew; if 32 more of them do
        so too, it is drawn as `sample` does, without any parent: a search that could not move goes on elsewhere.

        Raises:
            SpaceError: as `canonical` does, or a parent breaks a constraint.
        """
        return self._variation.mutants(self._members(genome_NG), rng, probability)

    def cross(self, a_NG: npt.NDArray[np.integer], b_NG: npt.NDArray[np.integer], rng: np.random.Generator) -> Ints:
        """Uniform crossover, row by row: every gene comes from one parent or the other, with equal chance.

        A gene that is absent in one parent comes from the other. If a layer or expert is in the child, then it is in
        the parent that the number comes from, so nothing needs to be drawn; but what the pattern of one parent at the
        depth of the other, or a shared number of experts, brings into being is drawn. A child that breaks a
        constraint is made anew; if 32 more of them do so too, it has the whole encoder of one parent and the whole
        decoder of the other, and if that breaks one, it is as the parent in `a_NG`.

        Raises:
            SpaceError: as `mutate` does, or the parents are not equally many.
        """
        a_NG, b_NG = self._members(a_NG), self._members(b_NG)
        if a_NG.shape != b_NG.shape:
            raise SpaceError(
                "both parents must be equally many",
                key="parents",
                value=(len(a_NG), len(b_NG)),
                hint="Pair them first",
            )
        return self._variation.crossed(a_NG, b_NG, rng)

    def neighbours(self, genome_G: npt.NDArray[np.integer], places: Sequence[int] | None = None) -> Ints:
        """All other genomes of the space that giving one gene another of its choices makes; each of them once.

        The sizes of layers and experts that come into being are as small as can be.

        Args:
            genome_G: a genome.
            places: which genes are varied, out of `free`; None: all of them.

        Returns:
            int64 of shape (N, G), in the order of the genes and their choices.

        Raises:
            SpaceError: as `canonical` does.
        """
        own_1G = self.canonical(np.asarray(genome_G)[None])
        return self._variation.neighbours(own_1G, self.free if places is None else places)

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

    def _feasible(self, canonical_NG: Ints) -> Bools:
        feasible_N = np.ones(len(canonical_NG), dtype=np.bool_)
        if self.space.constraints:
            layers = tuple(self.layer_sizes(canonical_NG))
            for constraint in self.space.constraints:
                feasible_N &= meets(constraint, layers)
        return feasible_N

    def _members(self, genome_NG: npt.NDArray[np.integer]) -> Ints:
        """The canonical form of genomes that must meet the constraints."""
        canonical_NG = self.canonical(genome_NG)
        if not self._feasible(canonical_NG).all():
            layers = tuple(self.layer_sizes(canonical_NG))
            broken = next(each for each in self.space.constraints if not meets(each, layers).all())
            raise broken_error(self.space.name, broken)
        return canonical_NG

    def _layer_of(self, row: list[int], genes: LayerGenes) -> EncoderLayerArch:
        """The layer of a canonical genome; the same object whenever it is the same."""
        key = (genes.all.start, row[genes.dim], *row[genes.all])
        layer = self._built_layers.get(key)
        if layer is None:
            if len(self._built_layers) > _RECENT:
                self._built_layers.clear()
            layer = self._built_layers[key] = _new_layer(row, genes)
        return layer

    def _built(self, row: list[int]) -> Architecture:
        """The architecture of a canonical genome."""
        layers: dict[str, list[EncoderLayerArch]] = {"encoder": [], "decoder": []}
        for genes in self._layers:
            if row[genes.depth] > genes.index:
                layers[genes.side].append(self._layer_of(row, genes))
        decoder = tuple(layer for layer in layers["decoder"] if isinstance(layer, DecoderLayerArch))
        return Architecture(
            encoder=EncoderArch(dim=row[self._sides["encoder"][0]], layers=tuple(layers["encoder"])),
            decoder=DecoderArch(dim=row[self._sides["decoder"][0]], layers=decoder),
        )


def _new_layer(row: list[int], genes: LayerGenes) -> EncoderLayerArch:
    own = {key: row[place] for key, place in genes.sizes.items()}
    widths = tuple(row[genes.widths][: own.pop("experts")])
    own["qkv_dim"] = own["qkv_dim"] or row[genes.dim]
    if genes.side == "encoder":
        return EncoderLayerArch(expert_widths=widths, **own)
    own["cross_heads"] = own["cross_heads"] or own["heads"]
    own["cross_qkv_dim"] = own["cross_qkv_dim"] or own["qkv_dim"]
    return DecoderLayerArch(expert_widths=widths, **own)


def _or_followed(value_N: Ints, followed_N: Ints) -> Ints:
    return np.where(value_N == OFF, followed_N, value_N)
