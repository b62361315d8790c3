"""The choices that make up a search space: of a layer, of a side, and what layers have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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

    def choices_of(self, key: str) -> Choices | None:
        """The choices of one key of a space file; None if it follows another gene.

        Raises:
            KeyError: layers of this kind have no such key.
        """
        own: dict[str, Choices | None] = {
            "heads": self.heads,
            "qkv_dim": self.qkv_dim,
            "experts": self.experts.count,
            "expert_width": self.experts.width,
            "top_k": self.top_k,
        }
        return own[key]

    def holds(self, layer: EncoderLayerArch, dim: int, encoder_depth: int) -> bool:
        """Whether the choices can make this layer of a side of dimension `dim`."""
        return (
            layer.heads in self.heads
            and layer.qkv_dim in (self.qkv_dim or (dim,))
            and layer.expert_widths in self.experts
            and layer.top_k in at_most(self.top_k, layer.num_experts)
        )


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

    def choices_of(self, key: str) -> Choices | None:
        """As in `LayerChoices`."""
        if key not in ("cross_heads", "cross_qkv_dim", "cross_layers"):
            return super().choices_of(key)
        chosen: Choices | None = getattr(self, key)
        return chosen

    def holds(self, layer: EncoderLayerArch, dim: int, encoder_depth: int) -> bool:
        """As in `LayerChoices`; the encoder's depth limits `cross_layers`."""
        return (
            isinstance(layer, DecoderLayerArch)
            and super().holds(layer, dim, encoder_depth)
            and layer.cross_heads in (self.cross_heads or (layer.heads,))
            and layer.cross_qkv_dim in (self.cross_qkv_dim or (layer.qkv_dim,))
            and layer.cross_layers in at_most(self.cross_layers, encoder_depth)
        )


@dataclass(frozen=True, kw_only=True, order=True)
class Shared:
    """A gene that is chosen once for several layers of a side."""

    key: str
    """As in a space file: `heads`, `qkv_dim`, `experts`, `expert_width` (where a layer's experts share one), `top_k`,
    `cross_heads`, `cross_qkv_dim` or `cross_layers`."""
    layers: Choices
    """Places of the layers, from 0; those beyond the depth of a model do not count."""

    def __post_init__(self) -> None:
        _ascend(self, "layers")

    def holds(self, layers: Sequence[EncoderLayerArch], choices: LayerChoices) -> bool:
        """Whether the layers of a side agree; numbers that a limit cuts do if they can be cut from one.

        Args:
            layers: all layers of the side.
            choices: those of a layer of the group.
        """
        group = [layers[index] for index in self.layers if index < len(layers)]
        if self.key == "top_k":
            return any(all(layer.top_k == min(k, layer.num_experts) for layer in group) for k in choices.top_k)
        if self.key == "expert_width":
            return len({width for layer in group for width in layer.expert_widths}) <= 1
        name = "num_experts" if self.key == "experts" else self.key
        return len({getattr(layer, name) for layer in group}) <= 1


@dataclass(frozen=True, kw_only=True)
class SideChoices:
    """What is chosen for the encoder or the decoder."""

    dim: Choices
    depth: Choices
    layers: tuple[LayerChoices, ...]
    """One entry for each layer of the deepest model; shallower models use the first ones."""
    shared: tuple[Shared, ...] = ()
    """What layers have in common; a gene that is in none of them is free in every layer."""

    def __post_init__(self) -> None:
        _ascend(self, "dim", "depth")

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`; nothing is said of `shared` where nothing is."""
        form = asdict(self, dict_factory=_json_object)
        return form if self.shared else {key: form[key] for key in form if key != "shared"}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any], kind: type[LayerChoices]) -> SideChoices:
        """Reads the JSON form of `to_dict`.

        Args:
            form: the JSON form.
            kind: `LayerChoices` for an encoder, `DecoderLayerChoices` for a decoder.
        """
        layers = tuple(kind.from_dict(layer) for layer in form["layers"])
        shared = tuple(Shared(**_with_tuples(group)) for group in form.get("shared", ()))
        return cls(dim=tuple(form["dim"]), depth=tuple(form["depth"]), layers=layers, shared=shared)

    def canonical(self) -> SideChoices:
        """The same choices in the one spelling that the digest of a space is made of.

        What a group shares counts only where it has two layers or more, and where there is something to choose.
        """
        layers = self.layers[: self.depth[-1]]
        groups = [replace(group, layers=tuple(i for i in group.layers if i < len(layers))) for group in self.shared]
        shared = [
            group
            for group in groups
            if len(group.layers) > 1 and len(layers[group.layers[0]].choices_of(group.key) or ()) > 1
        ]
        return replace(
            self, layers=tuple(layer.canonical(self.dim) for layer in layers), shared=tuple(sorted(set(shared)))
        )

    def holds(self, side: EncoderArch | DecoderArch, encoder_depth: int) -> bool:
        """Whether the choices can make this side."""
        return (
            side.dim in self.dim
            and len(side.layers) in self.depth
            and all(
                choices.holds(layer, side.dim, encoder_depth)
                for choices, layer in zip(self.layers, side.layers, strict=False)
            )
            and all(group.holds(side.layers, self.layers[group.layers[0]]) for group in self.shared)
        )


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
