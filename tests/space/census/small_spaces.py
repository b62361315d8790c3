"""Random small spaces with patterns, shared genes and constraints."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from automoe.space import DecoderLayerChoices, ExpertChoices, LayerChoices, SearchSpace, SideChoices
from automoe.space.constraints import Constraint
from automoe.space.expert_layers import ExpertLayers
from automoe.space.genes import Shared
from tests.space.brute_force import is_countable

PATTERNS = ("free", "none", "all", "every 2", "first 1", "last 1", "encoder", "decoder", "encoder last 1")
CONSTRAINTS = (
    "decoder.layers <= encoder.layers",
    "decoder.dim * encoder.layers <= 12",
    "encoder.dim == decoder.dim",
    "encoder.experts + decoder.experts <= 5",
    "decoder.expert_layers <= encoder.expert_layers",
    "encoder.experts % 2 == 1 or decoder.layers == 2",
    "decoder.expert_layers != 1",
    "encoder.layer.expert_width <= 2 * encoder.dim",
    "encoder.layer.expert_width * encoder.layer.heads >= 12",
    "decoder.layer.expert_width // decoder.layer.experts <= 8",
    "decoder.layer.top_k < decoder.layer.experts or decoder.layer.experts == 1",
    "decoder.layer.cross_qkv_dim == decoder.layer.qkv_dim",
    "decoder.layer.cross_heads <= decoder.layer.heads",
    "decoder.layer.cross_layers == encoder.layers",
    "decoder.layer.qkv_dim >= encoder.dim",
    "encoder.layer.experts <= decoder.experts",
    "decoder.layer.top_k * encoder.expert_layers <= 2",
    "encoder.layer.experts * 3 <= encoder.experts + decoder.experts",
    "encoder.layer.heads != 1 and encoder.layer.top_k == encoder.layer.experts",
)


@st.composite
def small_spaces(draw) -> SearchSpace:
    encoder_depth = draw(_some(1, 2, 3))
    patterns = draw(st.lists(st.sampled_from(PATTERNS), max_size=3, unique=True)) if draw(st.booleans()) else []
    sides = {}
    for side, depth in (("encoder", encoder_depth), ("decoder", draw(_some(1, 2)))):
        of_side = _layers(side, encoder_depth[-1], may_be_dense=not patterns)
        alike = draw(st.booleans())
        layers = [draw(of_side)] * depth[-1] if alike else [draw(of_side) for _ in range(depth[-1])]
        shared = tuple(group for key in _values(layers[0]) if (group := draw(_groups(key, layers))))
        sides[side] = SideChoices(dim=draw(_some(4, 8)), depth=depth, layers=tuple(layers), shared=shared)
    if draw(st.integers(0, 2)) == 0:
        sides["encoder"] = draw(_sharing_sides())
    constraints = draw(st.lists(st.sampled_from(CONSTRAINTS), max_size=2, unique=True))
    space = SearchSpace(
        name="small",
        **sides,
        constraints=tuple(map(Constraint.parse, constraints)),
        expert_layers=tuple(map(ExpertLayers.parse, patterns)),
    )
    assume(is_countable(space))
    return space


def _some(*values: int):
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(
        lambda some: tuple(sorted(some))
    )


@st.composite
def _layers(draw, side: str, encoder_depth: int, may_be_dense: bool) -> LayerChoices:
    count = draw(_some(1, 2, 3) if may_be_dense else st.sampled_from(((2,), (1, 2), (2, 3))))
    experts = ExpertChoices(count=count, width=draw(_some(8, 12, 16)), per_expert=draw(st.booleans()))
    if may_be_dense and draw(st.integers(0, 9)) == 0:
        experts = ExpertChoices.fixed(draw(st.sampled_from(((8,), (16, 8), (8, 8)))))
    few = st.sampled_from(((1,), (2,), (1, 2)))
    top_k = draw(st.sampled_from(((1,), (1, 2), (2,), (1, 3), (1, 2, 3))))
    common = {"heads": draw(few), "experts": experts, "qkv_dim": draw(st.sampled_from((None, None, (4,), (4, 8))))}
    common["top_k"] = tuple(k for k in top_k if k <= experts.count[-1]) or (1,)
    if side == "encoder":
        return LayerChoices(**common)
    cross = tuple(k for k in draw(st.sampled_from(((1,), (1, 2), (2,), (3,), (1, 3)))) if k <= encoder_depth) or (1,)
    return DecoderLayerChoices(
        **common,
        cross_heads=draw(st.sampled_from((None, None, (2,), (1, 2)))),
        cross_qkv_dim=draw(st.sampled_from((None, None, (4, 8)))),
        cross_layers=cross,
    )


@st.composite
def _sharing_sides(draw) -> SideChoices:
    """Encoders whose layers share top_k, which each of them cuts, and other genes of their experts."""
    experts = ExpertChoices(count=draw(st.sampled_from(((1, 2), (2, 3), (1, 3)))), width=draw(_some(8, 16)))
    layer = LayerChoices(heads=(1,), experts=experts, top_k=draw(st.sampled_from(((1, 2), (2,), (1, 2, 3)))))
    if layer.top_k[-1] > experts.count[-1]:
        layer = dataclasses.replace(layer, top_k=(1, 2))
    groups = [Shared(key="top_k", layers=(0, 1, 2))]
    for key in draw(st.sets(st.sampled_from(("experts", "expert_width")), min_size=1)):
        groups.append(Shared(key=key, layers=draw(st.sampled_from(((1, 2), (0, 2), (0, 1, 2))))))
    return SideChoices(
        dim=(4,), depth=draw(st.sampled_from(((3,), (2, 3)))), layers=(layer,) * 3, shared=tuple(groups)
    )


@st.composite
def _groups(draw, key: str, layers: list[LayerChoices]) -> Shared | None:
    """Some layers that can have a gene in common, or None."""
    members = draw(st.lists(st.sampled_from(range(len(layers))), unique=True)) if draw(st.booleans()) else []
    if len(members) < 2 or len({_values(layers[member])[key] for member in members}) > 1:
        return None
    choices = _values(layers[members[0]])[key]
    return None if choices is None else Shared(key=key, layers=tuple(sorted(members)))


def _values(layer: LayerChoices) -> dict[str, Any]:
    """The choices by key, as far as they can be shared."""
    keys = ("heads", "qkv_dim", "top_k", "cross_heads", "cross_qkv_dim", "cross_layers")
    values = {key: getattr(layer, key) for key in keys if hasattr(layer, key)}
    experts = layer.experts
    width = None if experts.per_expert or experts.widths is not None else experts.width
    return {**values, "experts": experts.count if experts.widths is None else None, "expert_width": width}
