"""`Gene`: a row of the table that describes a search space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from automoe.space.expert_layers import ExpertLayers
from automoe.space.genes import Choices, DecoderLayerChoices, LayerChoices, SideChoices


@dataclass(frozen=True, kw_only=True)
class Gene:
    """One row of the table that describes a space."""

    name: str
    """The dotted key of the space file."""
    choices: tuple[int | str, ...]
    """Numbers, or in words the patterns of expert layers."""
    slots: int
    """How often it is chosen in the deepest model with the most experts; layers that share it choose it once."""
    follows: str | None = None
    """The gene whose value it takes; it has no choices of its own then."""
    shared: tuple[Choices, ...] = ()
    """Groups of layers that have it in common, by their places from 0."""


def pattern_genes(patterns: tuple[ExpertLayers, ...]) -> Iterator[Gene]:
    """The row of the patterns of expert layers, if there are any."""
    if patterns:
        yield Gene(name="expert_layers", choices=tuple(map(str, patterns)), slots=1)


def genes_of(side: str, choices: SideChoices) -> Iterator[Gene]:
    """The genes of one side; layers with equal choices share their rows."""
    yield Gene(name=f"{side}.dim", choices=choices.dim, slots=1)
    yield Gene(name=f"{side}.layers", choices=choices.depth, slots=1)
    for layer in dict.fromkeys(choices.layers):
        indices = tuple(index for index, other in enumerate(choices.layers) if other == layer)
        alike = len(indices) == len(choices.layers) and len(indices) > 1
        label = f"{side}.layer" if alike else f"{side}.layers[{','.join(map(str, indices))}]"
        for key, values, copies, followed in _layer_genes(side, layer):
            groups = [group.layers for group in choices.shared if group.key == key and len(group.layers) > 1]
            yield _row(f"{label}.{key}", side, key, values, copies, followed, indices, groups)


def _row(
    name: str,
    side: str,
    key: str,
    values: Choices | None,
    copies: int,
    followed: str,
    indices: Choices,
    groups: list[Choices],
) -> Gene:
    """The row of one key of the layers `indices`, of which each chooses `copies` values."""
    own = tuple(group for group in groups if set(group) & set(indices))
    led = {index: group[0] for group in own for index in group[1:]}
    choosing = [index for index in indices if index not in led]
    if values is None:
        return Gene(name=name, choices=(), slots=copies * len(indices), follows=followed)
    if not choosing:
        leader = f"{side}.layers[{led[indices[0]]}].{key}"
        return Gene(name=name, choices=(), slots=len(indices), follows=leader, shared=own)
    return Gene(name=name, choices=values, slots=copies * len(choosing), shared=own)


def _layer_genes(side: str, layer: LayerChoices) -> Iterator[tuple[str, Choices | None, int, str]]:
    """Key, choices, how often they are made in a layer, and what is followed where there are none."""
    experts = layer.experts
    yield "heads", layer.heads, 1, ""
    yield "qkv_dim", layer.qkv_dim, 1, f"{side}.dim"
    if isinstance(layer, DecoderLayerChoices):
        yield "cross_heads", layer.cross_heads, 1, "heads"
        yield "cross_qkv_dim", layer.cross_qkv_dim, 1, "qkv_dim"
        yield "cross_layers", layer.cross_layers, 1, ""
    yield "experts", experts.count, 1, ""
    if experts.widths is not None:
        yield "expert_widths", experts.widths, 1, ""
    else:
        yield "expert_width", experts.width, experts.count[-1] if experts.per_expert else 1, ""
    yield "top_k", layer.top_k, 1, ""
