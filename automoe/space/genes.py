"""The choices that make up a search space: of a layer, of a side, and the table of genes that describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from math import comb
from typing import Any, Self

import numpy as np

from automoe.space.architecture import DecoderArch, DecoderLayerArch, EncoderArch, EncoderLayerArch

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

    def __post_init__(self) -> None:
        if self.widths is not None:
            object.__setattr__(self, "widths", tuple(sorted(self.widths, reverse=True)))
            object.__setattr__(self, "count", (len(self.widths),))
            object.__setattr__(self, "width", self.widths)
        _ascend(self, "count", "width")

    @classmethod
    def fixed(cls, widths: Choices) -> ExpertChoices:
        """Experts of exactly these widths."""
        return cls(widths=widths)

    def canonical(self) -> ExpertChoices:
        """The same experts in the one spelling that the digest is made of."""
        if len(self.width) == 1:  # fixed, one for each expert or shared by all: they are that wide in any case
            return ExpertChoices(count=self.count, width=self.width)
        return replace(self, per_expert=self.per_expert and self.widths is None and self.count != (1,))

    def __contains__(self, widths: Choices) -> bool:
        """Whether a layer can have experts of these widths, given from the widest to the narrowest."""
        if self.widths is not None:
            return widths == self.widths
        found = set(widths)
        return len(widths) in self.count and found <= set(self.width) and (self.per_expert or len(found) == 1)

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

    def __post_init__(self) -> None:
        _ascend(self, "heads", "qkv_dim", "top_k")

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Self:
        """Reads the JSON form of one layer as `SideChoices.to_dict` makes it."""
        experts = ExpertChoices(**_with_tuples(form["experts"]))
        return cls(experts=experts, **_with_tuples({key: form[key] for key in form if key != "experts"}))

    def canonical(self, dims: Choices) -> Self:
        """The same choices in one spelling: what could only be the value that it follows is None.

        Args:
            dims: model dimensions of the side.
        """
        return replace(self, experts=self.experts.canonical(), qkv_dim=_unless_implied(self.qkv_dim, dims))

    def holds(self, layer: EncoderLayerArch, dim: int, encoder_depth: int) -> bool:
        """Whether the choices can make this layer of a side of dimension `dim`."""
        return (
            layer.heads in self.heads
            and layer.qkv_dim in (self.qkv_dim or (dim,))
            and layer.expert_widths in self.experts
            and layer.top_k in at_most(self.top_k, layer.num_experts)
        )

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

    def __post_init__(self) -> None:
        super().__post_init__()
        _ascend(self, "cross_heads", "cross_qkv_dim", "cross_layers")

    def canonical(self, dims: Choices) -> Self:
        """As in `LayerChoices`."""
        return replace(
            super().canonical(dims),
            cross_heads=_unless_implied(self.cross_heads, self.heads),
            cross_qkv_dim=_unless_implied(self.cross_qkv_dim, self.qkv_dim or dims),
        )

    def holds(self, layer: EncoderLayerArch, dim: int, encoder_depth: int) -> bool:
        """As in `LayerChoices`; the encoder's depth limits `cross_layers`."""
        return (
            isinstance(layer, DecoderLayerArch)
            and super().holds(layer, dim, encoder_depth)
            and layer.cross_heads in (self.cross_heads or (layer.heads,))
            and layer.cross_qkv_dim in (self.cross_qkv_dim or (layer.qkv_dim,))
            and layer.cross_layers in at_most(self.cross_layers, encoder_depth)
        )

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

    def __post_init__(self) -> None:
        _ascend(self, "dim", "depth")

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return asdict(self, dict_factory=_json_object)

    @classmethod
    def from_dict(cls, form: Mapping[str, Any], kind: type[LayerChoices]) -> SideChoices:
        """Reads the JSON form of `to_dict`.

        Args:
            form: the JSON form.
            kind: `LayerChoices` for an encoder, `DecoderLayerChoices` for a decoder.
        """
        layers = tuple(kind.from_dict(layer) for layer in form["layers"])
        return cls(dim=tuple(form["dim"]), depth=tuple(form["depth"]), layers=layers)

    def canonical(self) -> SideChoices:
        """The same choices in the one spelling that the digest of a space is made of."""
        return replace(self, layers=tuple(layer.canonical(self.dim) for layer in self.layers[: self.depth[-1]]))

    def holds(self, side: EncoderArch | DecoderArch, encoder_depth: int) -> bool:
        """Whether the choices can make this side."""
        return (
            side.dim in self.dim
            and len(side.layers) in self.depth
            and all(
                choices.holds(layer, side.dim, encoder_depth)
                for choices, layer in zip(self.layers, side.layers, strict=False)
            )
        )


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


def _ascend(choices: object, *names: str) -> None:
    """Puts each of the named choices of a frozen dataclass into order, without repetition."""
    for name in names:
        values = getattr(choices, name)
        if values is not None:
            object.__setattr__(choices, name, tuple(sorted(set(values))))


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in pairs}


def _with_tuples(form: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in form.items()}


def _unless_implied(choices: Choices | None, followed: Choices) -> Choices | None:
    return None if len(followed) == 1 and choices == followed else choices


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
