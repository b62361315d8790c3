"""The choices that make up a search space: of a layer, of a side, and the table of genes that describes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import comb
from typing import Any

import numpy as np

Choices = tuple[int, ...]
"""What a gene may be, ascending, without repetition; a single entry is a fixed value."""


@dataclass(frozen=True, kw_only=True)
class ExpertChoices:
    """The experts of one layer: how many, and how wide."""

    count: Choices = (1,)
    """Numbers of experts; 1 is a dense layer."""
    width: Choices = ()
    """Hidden widths; unused where `widths` is fixed."""
    per_expert: bool = False
    """Whether every expert has a width of its own; otherwise all experts of the layer share one."""
    widths: Choices | None = None
    """Fixed widths, one for each expert, widest first; `count` and `width` then say the same."""

    @classmethod
    def fixed(cls, widths: Choices) -> ExpertChoices:
        """Experts of exactly these widths."""
        widths = tuple(sorted(widths, reverse=True))
        return cls(count=(len(widths),), width=tuple(sorted(set(widths))), widths=widths)

    def sample(self, rng: np.random.Generator) -> Choices:
        """Draws the number of experts and then each width, all uniformly."""
        if self.widths is not None:
            return self.widths
        count = pick(self.count, rng)
        if not self.per_expert:
            return (pick(self.width, rng),) * count
        return tuple(pick(self.width, rng) for _ in range(count))

    def largest(self) -> Choices:
        """As many experts as there can be, all as wide as can be."""
        return self.widths if self.widths is not None else (self.width[-1],) * self.count[-1]

    def smallest(self) -> Choices:
        """As few experts as there can be, all as narrow as can be."""
        return self.widths if self.widths is not None else (self.width[0],) * self.count[0]

    def num_widths(self, count: int, ordered: bool) -> int:
        """How many ways there are to give `count` experts their widths: in order, or as a multiset."""
        if self.widths is not None:
            return 1
        if not self.per_expert:
            return len(self.width)
        return len(self.width) ** count if ordered else comb(len(self.width) + count - 1, count)


@dataclass(frozen=True, kw_only=True)
class LayerChoices:
    """What is chosen for one layer. None follows another gene, as the default of an architecture file does."""

    heads: Choices
    experts: ExpertChoices
    qkv_dim: Choices | None = None
    """None: the model dimension of the side."""
    top_k: Choices = (1,)
    """Experts per token; a layer that has fewer uses all it has."""

    def num_combinations(self, encoder_depth: int, ordered: bool) -> int:
        """How many layers there are; `ordered` tells experts apart that only changed places."""
        experts = sum(
            self.experts.num_widths(count, ordered) * len(at_most(self.top_k, count)) for count in self.experts.count
        )
        return experts * len(self.heads) * len(self.qkv_dim or (0,))


@dataclass(frozen=True, kw_only=True)
class DecoderLayerChoices(LayerChoices):
    """What is chosen for one decoder layer."""

    cross_heads: Choices | None = None
    """None: as many as `heads`."""
    cross_qkv_dim: Choices | None = None
    """None: the `qkv_dim` of the layer."""
    cross_layers: Choices = (1,)
    """Last encoder layers that cross-attention sees; all of them where the encoder has fewer."""

    def num_combinations(self, encoder_depth: int, ordered: bool) -> int:
        """As in `LayerChoices`; the encoder's depth limits `cross_layers`."""
        cross = len(self.cross_heads or (0,)) * len(self.cross_qkv_dim or (0,))
        return (
            super().num_combinations(encoder_depth, ordered) * cross * len(at_most(self.cross_layers, encoder_depth))
        )


@dataclass(frozen=True, kw_only=True)
class SideChoices:
    """What is chosen for the encoder or the decoder."""

    dim: Choices
    depth: Choices
    layers: tuple[LayerChoices, ...]
    """One entry for each layer of the deepest model; shallower models use the first ones."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, which the digest of a space is made of."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Gene:
    """One row of the table that describes a space."""

    name: str
    """The dotted key of the space file."""
    choices: Choices
    slots: int
    """How often it is chosen in the deepest model with the most experts."""
    follows: str | None = None
    """The gene whose value it takes; it has no choices of its own then."""


def genes_of(side: str, choices: SideChoices) -> Iterator[Gene]:
    """The genes of one side; layers with equal choices share their rows."""
    yield Gene(name=f"{side}.dim", choices=choices.dim, slots=1)
    yield Gene(name=f"{side}.layers", choices=choices.depth, slots=1)
    for layer in dict.fromkeys(choices.layers):
        indices = [index for index, other in enumerate(choices.layers) if other == layer]
        alike = len(indices) == len(choices.layers) and len(indices) > 1
        label = f"{side}.layer" if alike else f"{side}.layers[{','.join(map(str, indices))}]"
        yield from _layer_genes(label, side, layer, len(indices))


def pick(choices: Choices, rng: np.random.Generator) -> int:
    """Draws one of the choices uniformly."""
    return choices[int(rng.integers(len(choices)))]


def at_most(choices: Choices, limit: int) -> Choices:
    """What is left of the choices where nothing can exceed `limit`: larger ones become the limit."""
    return tuple(sorted({min(choice, limit) for choice in choices}))


def _layer_genes(label: str, side: str, layer: LayerChoices, copies: int) -> Iterator[Gene]:
    experts = layer.experts
    yield Gene(name=f"{label}.heads", choices=layer.heads, slots=copies)
    yield _gene(f"{label}.qkv_dim", layer.qkv_dim, copies, f"{side}.dim")
    if isinstance(layer, DecoderLayerChoices):
        yield _gene(f"{label}.cross_heads", layer.cross_heads, copies, "heads")
        yield _gene(f"{label}.cross_qkv_dim", layer.cross_qkv_dim, copies, "qkv_dim")
        yield Gene(name=f"{label}.cross_layers", choices=layer.cross_layers, slots=copies)
    yield Gene(name=f"{label}.experts", choices=experts.count, slots=copies)
    if experts.widths is not None:
        yield Gene(name=f"{label}.expert_widths", choices=experts.widths, slots=copies)
    else:
        slots = copies * experts.count[-1] if experts.per_expert else copies
        yield Gene(name=f"{label}.expert_width", choices=experts.width, slots=slots)
    yield Gene(name=f"{label}.top_k", choices=layer.top_k, slots=copies)


def _gene(name: str, choices: Choices | None, slots: int, follows: str) -> Gene:
    if choices is None:
        return Gene(name=name, choices=(), slots=slots, follows=follows)
    return Gene(name=name, choices=choices, slots=slots)
