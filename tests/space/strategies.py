"""Hypothesis strategies: random architectures, and search spaces small enough to enumerate."""

from __future__ import annotations

import dataclasses

from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

from automoe.space import (
    Architecture,
    Constraint,
    DecoderArch,
    DecoderLayerArch,
    DecoderLayerChoices,
    EncoderArch,
    EncoderLayerArch,
    ExpertChoices,
    ExpertLayers,
    LayerChoices,
    SearchSpace,
    Shared,
    SideChoices,
)

few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
"""Enough for values that have few kinds; how fast a machine draws them is not what the tests are about."""

fewer = settings(few, max_examples=12)
"""For laws that enumerate a space each time."""

sizes = st.integers(1, 4096)


@st.composite
def encoder_layers(draw) -> EncoderLayerArch:
    widths = tuple(draw(st.lists(sizes, min_size=1, max_size=5)))
    heads = draw(st.integers(1, 8))
    return EncoderLayerArch(
        heads=heads,
        qkv_dim=heads * draw(st.integers(1, 64)),
        expert_widths=widths,
        top_k=draw(st.integers(1, len(widths))),
    )


@st.composite
def decoder_layers(draw, encoder_depth: int) -> DecoderLayerArch:
    layer, cross = draw(encoder_layers()), draw(encoder_layers())
    return DecoderLayerArch(
        heads=layer.heads,
        qkv_dim=layer.qkv_dim,
        expert_widths=layer.expert_widths,
        top_k=layer.top_k,
        cross_heads=cross.heads,
        cross_qkv_dim=cross.qkv_dim,
        cross_layers=draw(st.integers(1, encoder_depth)),
    )


@st.composite
def architectures(draw) -> Architecture:
    even = st.integers(1, 512).map(lambda half: 2 * half)
    encoder = draw(st.lists(encoder_layers(), min_size=1, max_size=3))
    decoder = draw(st.lists(decoder_layers(len(encoder)), min_size=1, max_size=3))
    return Architecture(
        encoder=EncoderArch(dim=draw(even), layers=tuple(encoder)),
        decoder=DecoderArch(dim=draw(even), layers=tuple(decoder)),
    )


def choices(*values: int):
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(
        lambda found: tuple(sorted(found))
    )


@st.composite
def expert_choices(draw) -> ExpertChoices:
    if draw(st.booleans()):
        return ExpertChoices.fixed(tuple(draw(st.lists(st.sampled_from((8, 16)), min_size=1, max_size=3))))
    return ExpertChoices(count=draw(choices(1, 2, 3)), width=draw(choices(8, 16, 24)), per_expert=draw(st.booleans()))


@st.composite
def layer_choices(draw, decoder: bool, encoder_depth: int) -> LayerChoices:
    experts = draw(expert_choices())
    top_k = tuple(range(1, draw(st.integers(1, experts.count[-1])) + 1))
    common = {"heads": draw(choices(1, 2)), "experts": experts, "top_k": top_k}
    common["qkv_dim"] = draw(st.none() | choices(4, 8))
    if not decoder:
        return LayerChoices(**common)
    return DecoderLayerChoices(
        **common,
        cross_heads=draw(st.none() | choices(1, 2)),
        cross_qkv_dim=draw(st.none() | choices(4, 8)),
        cross_layers=tuple(range(1, draw(st.integers(1, encoder_depth)) + 1)),
    )


@st.composite
def spaces(draw) -> SearchSpace:
    """Spaces of up to a few thousand architectures."""
    encoder_depth = draw(choices(1, 2))
    sides = []
    for depth, decoder in ((encoder_depth, False), (draw(choices(1, 2)), True)):
        layers = draw(st.lists(layer_choices(decoder, encoder_depth[-1]), min_size=depth[-1], max_size=depth[-1]))
        sides.append(SideChoices(dim=draw(choices(4, 8)), depth=depth, layers=tuple(layers)))
    return SearchSpace(name="random", encoder=sides[0], decoder=sides[1])


PATTERNS = (
    "free",
    "all",
    "none",
    "every 2",
    "first 1",
    "last 1",
    "encoder",
    "decoder",
    "encoder last 1",
    "decoder every 2",
)
CONSTRAINTS = (
    "decoder.layers <= encoder.layers",
    "decoder.dim <= encoder.dim",
    "encoder.experts + decoder.experts <= 5",
    "encoder.expert_layers >= 1 or decoder.expert_layers >= 1",
    "encoder.layer.expert_width * 2 <= encoder.dim * 4",
    "decoder.layer.heads == 1 or decoder.layer.expert_width % 16 == 0",
    "not decoder.layer.cross_layers < encoder.layers - 1",
    "encoder.layer.top_k < encoder.layer.experts or encoder.layer.experts == 1",
    "decoder.layer.qkv_dim // decoder.layer.heads >= 4",
)
KEYS = ("heads", "qkv_dim", "experts", "expert_width", "top_k", "cross_heads", "cross_qkv_dim", "cross_layers")


@st.composite
def conditioned_spaces(draw, patterns: bool = True, shared: bool = True, constraints: bool = True) -> SearchSpace:
    """Spaces with patterns of expert layers, genes that layers share and constraints, not all of them each time.

    At least one architecture is in each space.
    """
    used = draw(st.lists(st.sampled_from(PATTERNS), max_size=3, unique=True)) if patterns else []
    encoder_depth = draw(choices(1, 2, 3))
    sides = []
    for depth, decoder in ((encoder_depth, False), (draw(choices(1, 2, 3)), True)):
        layer = draw(layer_choices(decoder, encoder_depth[-1]))
        if (used and layer.experts.count[-1] == 1) or layer.experts.widths is not None:
            per_expert, width = draw(st.booleans()), draw(choices(8, 16))
            experts = ExpertChoices(
                count=draw(st.sampled_from(((1, 2), (2,), (2, 3)))), width=width, per_expert=per_expert
            )
            layer = dataclasses.replace(layer, experts=experts, top_k=(1,))
        groups = [
            Shared(key=key, layers=tuple(draw(st.sets(st.integers(0, depth[-1] - 1), min_size=1))))
            for key in (draw(st.sets(st.sampled_from(KEYS))) if shared else ())
            if _can_share(layer, key)
        ]
        sides.append(
            SideChoices(dim=draw(choices(4, 8)), depth=depth, layers=(layer,) * depth[-1], shared=tuple(groups))
        )
    conditions = draw(st.lists(st.sampled_from(CONSTRAINTS), max_size=2, unique=True)) if constraints else []
    space = SearchSpace(
        name="conditioned",
        encoder=sides[0],
        decoder=sides[1],
        expert_layers=tuple(map(ExpertLayers.parse, used)),
        constraints=tuple(map(Constraint.parse, conditions)),
    )
    assume(space.num_architectures > 0)
    return space


def _can_share(layer: LayerChoices, key: str) -> bool:
    if key.startswith("cross") and not isinstance(layer, DecoderLayerChoices):
        return False
    if key == "expert_width" and layer.experts.per_expert:
        return False
    return layer.choices_of(key) is not None
