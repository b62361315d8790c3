"""Hypothesis strategies: random architectures, and search spaces small enough to enumerate."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from automoe.space import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    DecoderLayerChoices,
    EncoderArch,
    EncoderLayerArch,
    ExpertChoices,
    LayerChoices,
    SearchSpace,
    SideChoices,
)

few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
"""Enough for values that have few kinds; how fast a machine draws them is not what the tests are about."""

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
