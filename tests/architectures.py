"""Architectures for tests: a small supernet maximum, and random slices of it."""

from __future__ import annotations

import numpy as np

from automoe.space import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    EncoderArch,
    EncoderLayerArch,
    Placement,
)


def encoder_layer(*widths: int, heads: int = 4, qkv_dim: int = 16, top_k: int = 1) -> EncoderLayerArch:
    return EncoderLayerArch(heads=heads, qkv_dim=qkv_dim, expert_widths=widths, top_k=top_k)


def decoder_layer(
    *widths: int,
    heads: int = 4,
    qkv_dim: int = 16,
    cross_heads: int = 4,
    cross_qkv_dim: int = 16,
    cross_layers: int = 1,
    top_k: int = 1,
) -> DecoderLayerArch:
    return DecoderLayerArch(
        heads=heads,
        qkv_dim=qkv_dim,
        cross_heads=cross_heads,
        cross_qkv_dim=cross_qkv_dim,
        cross_layers=cross_layers,
        expert_widths=widths,
        top_k=top_k,
    )


def architecture(
    encoder_dim: int,
    encoder_layers: list[EncoderLayerArch],
    decoder_dim: int,
    decoder_layers: list[DecoderLayerArch],
) -> Architecture:
    return Architecture(
        encoder=EncoderArch(dim=encoder_dim, layers=tuple(encoder_layers)),
        decoder=DecoderArch(dim=decoder_dim, layers=tuple(decoder_layers)),
    )


MAXIMUM = architecture(
    32,
    [encoder_layer(48), encoder_layer(48, 32, 32, 16), encoder_layer(48, 48, 48)],
    24,
    [decoder_layer(48, 32, cross_layers=3), decoder_layer(32), decoder_layer(48, 48, 16, cross_layers=2)],
)
"""Dense and expert layers, unequal widths, different dims on each side, several attended layers."""

DENSE = architecture(
    16, [encoder_layer(32), encoder_layer(32)], 16, [decoder_layer(32), decoder_layer(32, cross_layers=2)]
)


def random_slice(maximum: Architecture, rng: np.random.Generator) -> tuple[Architecture, Placement]:
    """An architecture that fits `maximum`, and a placement of its experts, each drawn at random."""

    def draw(options: list[int]) -> int:
        return int(rng.choice(options))

    def common(large: EncoderLayerArch) -> dict[str, object]:
        count = draw(list(range(1, large.num_experts + 1)))
        widths = tuple(draw(list(range(1, large.expert_widths[i] + 1))) for i in range(count))
        heads = draw([1, 2, 4])
        qkv_dim = heads * draw(list(range(1, large.qkv_dim // heads + 1)))
        return {"heads": heads, "qkv_dim": qkv_dim, "expert_widths": widths, "top_k": draw([1, count])}

    encoder_layers = tuple(
        EncoderLayerArch(**common(large))
        for large in maximum.encoder.layers[: draw(list(range(1, len(maximum.encoder.layers) + 1)))]
    )
    decoder_layers = []
    for large in maximum.decoder.layers[: draw(list(range(1, len(maximum.decoder.layers) + 1)))]:
        heads = draw([1, 2, 4])
        decoder_layers.append(
            DecoderLayerArch(
                **common(large),
                cross_heads=heads,
                cross_qkv_dim=heads * draw(list(range(1, large.cross_qkv_dim // heads + 1))),
                cross_layers=draw(list(range(1, len(encoder_layers) + 1))),
            )
        )
    arch = Architecture(
        encoder=EncoderArch(dim=2 * draw(list(range(1, maximum.encoder.dim // 2 + 1))), layers=encoder_layers),
        decoder=DecoderArch(dim=2 * draw(list(range(1, maximum.decoder.dim // 2 + 1))), layers=tuple(decoder_layers)),
    )
    return arch, Placement.sample(arch, maximum, rng)
