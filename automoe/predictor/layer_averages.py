"""The ten averages that HAT and AutoMoE predict latency from, as the group of features `averages`.

They forget which layer is how large, and published tables hold nothing else: a predictor that learnt from one sees
an architecture so (Wang et al. 2020, section 3.3; the columns of the published tables).

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import numpy as np

from automoe.predictor.predictor import FloatArray
from automoe.space import Architecture

AVERAGE_NAMES = (
    "encoder.dim",
    "encoder.layers",
    "encoder.ffn",
    "encoder.heads",
    "decoder.dim",
    "decoder.layers",
    "decoder.ffn",
    "decoder.heads",
    "decoder.cross_heads",
    "decoder.cross_layers",
)
"""In the order of the columns of the published tables."""


def layer_averages(archs: Sequence[Architecture]) -> tuple[FloatArray, tuple[str, ...]]:
    """Dimensions and depths, and the means over layers of the other sizes.

    `ffn` is the mean width of a layer's experts, `cross_layers` the encoder layers that cross-attention sees.

    Returns:
        x_NF and `AVERAGE_NAMES`.
    """
    x_NF = np.array([_averages(arch) for arch in archs], dtype=np.float64)
    return x_NF.reshape(len(archs), len(AVERAGE_NAMES)), AVERAGE_NAMES


def _averages(arch: Architecture) -> list[float]:
    encoder, decoder = arch.encoder, arch.decoder
    return [
        encoder.dim,
        len(encoder.layers),
        mean(mean(layer.expert_widths) for layer in encoder.layers),
        mean(layer.heads for layer in encoder.layers),
        decoder.dim,
        len(decoder.layers),
        mean(mean(layer.expert_widths) for layer in decoder.layers),
        mean(layer.heads for layer in decoder.layers),
        mean(layer.cross_heads for layer in decoder.layers),
        mean(layer.cross_layers for layer in decoder.layers),
    ]
