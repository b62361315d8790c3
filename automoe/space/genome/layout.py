"""Which gene stands where in the genomes of a space, and which values it can take.

A genome is one row of whole numbers; its genes hold the sizes themselves, no indices into choices. The order: where a
space has patterns of expert layers, the pattern, from 1; the encoder's dimension and depth, then layer by layer
`heads`, `qkv_dim`, (in the decoder `cross_heads`, `cross_qkv_dim`, `cross_layers`,) `experts`, `top_k` and the
experts' widths; then the same for the decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from automoe.space.genes import Choices, DecoderLayerChoices, ExpertChoices, LayerChoices, SideChoices, at_most
from automoe.space.roles import FREE_PATTERN, Role, roles_of
from automoe.space.search_space import SearchSpace

PATTERN = "expert_layers"
"""The name of the gene of the pattern."""

OFF = 0
"""The value of a gene that counts for nothing: its layer or expert is absent, or it follows another gene."""


@dataclass(frozen=True, kw_only=True)
class GenomeGene:
    """One place of a genome."""

    name: str
    """Such as `encoder.layers[2].expert_widths[1]`."""
    choices: Choices
    """What it is drawn from; only 0 where it follows another gene."""
    legal: Choices
    """What it can be in a canonical genome: the choices, 0 where it can be absent, and what is left of the choices
    where a limit cuts them."""
    limit: int | None = None
    """The place of the gene that it cannot exceed."""

    @property
    def follows(self) -> bool:
        """Whether it has no value of its own."""
        return self.choices == (OFF,)


@dataclass(frozen=True, kw_only=True)
class LayerGenes:
    """The places of one layer's genes."""

    side: str
    index: int
    dim: int
    """The place of the side's dimension."""
    depth: int
    """The place of the side's depth."""
    all: slice
    """All genes of the layer."""
    sizes: dict[str, int]
    """The places by the keys of a space file: `heads`, `qkv_dim`, `experts`, `top_k`; `cross_...` in the decoder."""
    widths: slice
    """The experts' widths, widest first."""
    one_width: bool
    """Whether all experts of the layer share the first one's width."""


@dataclass(frozen=True, kw_only=True)
class GeneGroup:
    """Genes of several layers that have one value; the first stands for all of them."""

    key: str
    """As in `Shared`; `expert_width` is the width of a layer's first expert."""
    places: tuple[int, ...]
    depth: int
    """The place of the side's depth."""
    indices: tuple[int, ...]
    """Which layers of the side they belong to, ascending."""
    layers: tuple[int, ...]
    """The same among the layers of the layout."""

    @property
    def is_cut(self) -> bool:
        """Whether each layer has the value only as far as a limit of its own allows."""
        return self.key in ("top_k", "cross_layers")


@dataclass(frozen=True, kw_only=True)
class GenomeLayout:
    """The genes of a space in order, and where each layer has its own."""

    genes: tuple[GenomeGene, ...]
    layers: tuple[LayerGenes, ...]
    """The encoder's from first to last, then the decoder's."""
    sides: dict[str, tuple[int, int]]
    """The places of dimension and depth, by side."""
    pattern: int | None
    """The place of the pattern of expert layers, if there are any."""
    groups: tuple[GeneGroup, ...]
    """What layers share."""

    @property
    def led(self) -> frozenset[int]:
        """Places of the genes whose value another one decides: of a group, or of the experts of one width."""
        places = [place for group in self.groups for place in group.places[1:]]
        for layer in self.layers:
            if layer.one_width:
                places += range(layer.widths.start + 1, layer.widths.stop)
        return frozenset(places)


def layout_of(space: SearchSpace) -> GenomeLayout:
    """The layout of all genomes of a space."""
    genes: list[GenomeGene] = []
    layers: list[LayerGenes] = []
    sides: dict[str, tuple[int, int]] = {}
    if space.patterns:
        numbers = tuple(range(1, len(space.patterns) + 1))
        genes.append(GenomeGene(name=PATTERN, choices=numbers, legal=numbers))
    for side, choices in space.sides.items():
        sides[side] = (len(genes), len(genes) + 1)
        genes.append(GenomeGene(name=f"{side}.dim", choices=choices.dim, legal=choices.dim))
        genes.append(GenomeGene(name=f"{side}.layers", choices=choices.depth, legal=choices.depth))
        for index, layer in enumerate(choices.layers[: choices.depth[-1]]):
            first = len(genes)
            counts = _counts(space, side, index)
            genes += _genes_of_layer(side, index, choices, counts, first, sides["encoder"][1], space.encoder.depth)
            keys = [gene.name.rpartition(".")[2] for gene in genes[first:]]
            num_experts = counts.most
            sizes = {key: first + place for place, key in enumerate(keys[: len(keys) - num_experts])}
            layers.append(
                LayerGenes(
                    side=side,
                    index=index,
                    dim=sides[side][0],
                    depth=sides[side][1],
                    all=slice(first, len(genes)),
                    sizes=sizes,
                    widths=slice(len(genes) - num_experts, len(genes)),
                    one_width=layer.experts.widths is None and not layer.experts.per_expert,
                )
            )
    return GenomeLayout(
        genes=tuple(genes),
        layers=tuple(layers),
        sides=sides,
        pattern=0 if space.patterns else None,
        groups=tuple(_groups(space, layers)),
    )


@dataclass(frozen=True, kw_only=True)
class _Counts:
    """The numbers of experts of one layer, under all patterns."""

    drawn: Choices
    """Those that a search chooses from; a layer that is dense by pattern has 1, without any choice."""
    made: Choices
    """Those that the layer can have."""

    @property
    def most(self) -> int:
        return self.made[-1]


def _counts(space: SearchSpace, side: str, index: int) -> _Counts:
    choices = space.sides[side]
    own = choices.layers[index].experts.count
    roles = roles_of(space.patterns or (FREE_PATTERN,), side, index, choices.depth)
    made = {count for role in roles for count in role.left_of(own)}
    drawn = own if Role.FREE in roles else Role.EXPERTS.left_of(own) if Role.EXPERTS in roles else (1,)
    return _Counts(drawn=drawn, made=tuple(sorted(made)))


def _groups(space: SearchSpace, layers: list[LayerGenes]) -> Iterator[GeneGroup]:
    """The groups of layers whose genes have one value; layers that are always dense have no number to share."""
    for side, choices in space.sides.items():
        for shared in sorted(choices.canonical().shared):
            group = [(place, genes) for place, genes in enumerate(layers)
                     if genes.side == side and genes.index in shared.layers]  # fmt: skip
            if shared.key in ("experts", "top_k"):
                group = [each for each in group if _counts(space, side, each[1].index).most > 1]
            if len(group) > 1:
                yield GeneGroup(
                    key=shared.key,
                    places=tuple(_place(genes, shared.key) for _, genes in group),
                    depth=group[0][1].depth,
                    indices=tuple(genes.index for _, genes in group),
                    layers=tuple(place for place, _ in group),
                )


def _place(genes: LayerGenes, key: str) -> int:
    return genes.widths.start if key == "expert_width" else genes.sizes[key]


def _genes_of_layer(
    side: str,
    index: int,
    choices: SideChoices,
    counts: _Counts,
    first: int,
    encoder_depth: int,
    encoder_depths: Choices,
) -> Iterator[GenomeGene]:
    """The genes of one layer from place `first` on; `encoder_depth` is the place of that gene, and its choices."""
    layer = choices.layers[index]
    label = f"{side}.layers[{index}]"
    absent = () if index < choices.depth[0] else (OFF,)
    own = _choices_of_layer(layer)
    own["experts"], own["top_k"] = counts.drawn, at_most(layer.top_k, counts.most)
    experts = first + list(own).index("experts")
    limits = {"top_k": (experts, counts.made), "cross_layers": (encoder_depth, encoder_depths)}
    for key, values in own.items():
        name = f"{label}.{key}"
        if values is None:
            yield GenomeGene(name=name, choices=(OFF,), legal=(OFF,))
        elif key in limits:
            place, most = limits[key]
            cut = {value for limit in most for value in at_most(values, limit)}
            legal = tuple(sorted({*absent, *values, *cut}))
            yield GenomeGene(name=name, choices=values, legal=legal, limit=place)
        elif key == "experts":
            yield GenomeGene(name=name, choices=values, legal=tuple(sorted({*absent, *values, *counts.made})))
        else:
            yield GenomeGene(name=name, choices=values, legal=(*absent, *values))
    for expert in range(counts.most):
        values = _width_choices(layer.experts, expert)
        absent_expert = absent if expert < counts.made[0] else (OFF,)
        yield GenomeGene(name=f"{label}.expert_widths[{expert}]", choices=values, legal=(*absent_expert, *values))


def _choices_of_layer(layer: LayerChoices) -> dict[str, Choices | None]:
    """The choices of a layer's genes but the widths, in their order; None follows another gene."""
    cross: dict[str, Choices | None] = {}
    if isinstance(layer, DecoderLayerChoices):
        cross = {
            "cross_heads": layer.cross_heads,
            "cross_qkv_dim": layer.cross_qkv_dim,
            "cross_layers": layer.cross_layers,
        }
    return {
        "heads": layer.heads,
        "qkv_dim": layer.qkv_dim,
        **cross,
        "experts": layer.experts.count,
        "top_k": layer.top_k,
    }


def _width_choices(experts: ExpertChoices, expert: int) -> Choices:
    return experts.width if experts.widths is None else (experts.widths[expert],)
