"""Which gene stands where in the genomes of a space, and which values it can take.

A genome is one row of whole numbers; its genes hold the sizes themselves, no indices into choices. The order: the
encoder's dimension and depth, then layer by layer `heads`, `qkv_dim`, (in the decoder `cross_heads`, `cross_qkv_dim`,
`cross_layers`,) `experts`, `top_k` and the experts' widths; then the same for the decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from automoe.space.genes import Choices, DecoderLayerChoices, ExpertChoices, LayerChoices, SideChoices, at_most
from automoe.space.search_space import SearchSpace

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
class GenomeLayout:
    """The genes of a space in order, and where each layer has its own."""

    genes: tuple[GenomeGene, ...]
    layers: tuple[LayerGenes, ...]
    """The encoder's from first to last, then the decoder's."""
    sides: dict[str, tuple[int, int]]
    """The places of dimension and depth, by side."""


def layout_of(space: SearchSpace) -> GenomeLayout:
    """The layout of all genomes of a space."""
    genes: list[GenomeGene] = []
    layers: list[LayerGenes] = []
    sides: dict[str, tuple[int, int]] = {}
    for side, choices in (("encoder", space.encoder), ("decoder", space.decoder)):
        sides[side] = (len(genes), len(genes) + 1)
        genes.append(GenomeGene(name=f"{side}.dim", choices=choices.dim, legal=choices.dim))
        genes.append(GenomeGene(name=f"{side}.layers", choices=choices.depth, legal=choices.depth))
        for index, layer in enumerate(choices.layers[: choices.depth[-1]]):
            first = len(genes)
            genes += _genes_of_layer(side, index, choices, first, sides["encoder"][1], space.encoder.depth)
            keys = [gene.name.rpartition(".")[2] for gene in genes[first:]]
            num_experts = layer.experts.count[-1]
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
    return GenomeLayout(genes=tuple(genes), layers=tuple(layers), sides=sides)


def _genes_of_layer(
    side: str, index: int, choices: SideChoices, first: int, encoder_depth: int, encoder_depths: Choices
) -> Iterator[GenomeGene]:
    """The genes of one layer from place `first` on; `encoder_depth` is the place of that gene, and its choices."""
    layer = choices.layers[index]
    label = f"{side}.layers[{index}]"
    absent = () if index < choices.depth[0] else (OFF,)
    own = _choices_of_layer(layer)
    experts = first + list(own).index("experts")
    limits = {"top_k": (experts, layer.experts.count), "cross_layers": (encoder_depth, encoder_depths)}
    for key, values in own.items():
        name = f"{label}.{key}"
        if values is None:
            yield GenomeGene(name=name, choices=(OFF,), legal=(OFF,))
        elif key in limits:
            place, most = limits[key]
            cut = {value for limit in most for value in at_most(values, limit)}
            legal = tuple(sorted({*absent, *values, *cut}))
            yield GenomeGene(name=name, choices=values, legal=legal, limit=place)
        else:
            yield GenomeGene(name=name, choices=values, legal=(*absent, *values))
    for expert in range(layer.experts.count[-1]):
        values = _width_choices(layer.experts, expert)
        absent_expert = absent if expert < layer.experts.count[0] else (OFF,)
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
