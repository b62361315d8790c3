"""A few sums over all layers that latency is (about) linear in, as the group of features `sums`.

Averages of genes, as HAT and AutoMoE use them, forget which layers exist. These sums add up what takes time, which
few rows suffice to weigh: a decoder takes a fixed time per layer and step (overhead), per expert that the hypotheses
of a step reach, and per product.

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from automoe.cost.formulas import attention_macs, experts_macs, router_macs
from automoe.predictor.predictor import FloatArray
from automoe.space import Architecture, DecoderLayerArch, EncoderLayerArch

SOURCE_TOKENS = 30
"""Length of the sentence that the features are computed for; all architectures are compared over equal work."""
PAST_TOKENS = 15
"""Earlier tokens that a decoding step looks back at, on average over such a sentence."""
BEAM = 5
"""Hypotheses of a decoding step, which may choose different experts."""
_REMEMBERED = 1 << 16
"""Layers whose sums are kept: architectures of one space share most of theirs."""

SUM_NAMES = (
    "decoder.layers",
    "decoder.expert_layers",
    "decoder.experts_reached",
    "decoder.width_reached",
    "decoder.dim",
    "decoder.cross_layers",
    "decoder.step_macs",
    "encoder.layers",
    "encoder.expert_layers",
    "encoder.experts_reached",
    "encoder.macs",
)


def layer_sums(archs: Sequence[Architecture]) -> tuple[FloatArray, tuple[str, ...]]:
    """A few exact sums over the layers, that latency is (about) linear in.

    Experts and widths "reached" are those that a step of `BEAM` hypotheses, or a sentence of `SOURCE_TOKENS` tokens,
    uses at least once on average if the router loads all evenly. Products are of one decoding step, and of encoding
    a sentence, its keys and values for the decoder included. The projection to the vocabulary is `decoder.dim` times
    a constant.

    Returns:
        x_NF and the names of the features, `SUM_NAMES`.
    """
    rows = [_decoder_sums(arch) + _encoder_sums(arch) for arch in archs]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(SUM_NAMES)), SUM_NAMES


def _decoder_sums(arch: Architecture) -> list[float]:
    layers, dim = arch.decoder.layers, arch.decoder.dim
    reached = [_share_reached(layer, BEAM) for layer in layers]
    return [
        len(layers),
        sum(layer.num_experts > 1 for layer in layers),
        sum(share * layer.num_experts for share, layer in zip(reached, layers, strict=True)),
        sum(share * sum(layer.expert_widths) for share, layer in zip(reached, layers, strict=True)),
        dim,
        sum(layer.cross_layers for layer in layers),
        sum(_step_macs(layer, dim) for layer in layers),
    ]


def _encoder_sums(arch: Architecture) -> list[float]:
    layers, dim = arch.encoder.layers, arch.encoder.dim
    macs = sum(
        attention_macs(SOURCE_TOKENS, SOURCE_TOKENS, dim, dim, layer.qkv_dim)
        + _expert_macs(layer, SOURCE_TOKENS, dim)
        for layer in layers
    )
    # Of each encoder layer that it sees, cross-attention computes keys and values once a sentence.
    macs += sum(2 * layer.cross_layers * SOURCE_TOKENS * dim * layer.cross_qkv_dim for layer in arch.decoder.layers)
    return [
        len(layers),
        sum(layer.num_experts > 1 for layer in layers),
        sum(_share_reached(layer, SOURCE_TOKENS) * layer.num_experts for layer in layers),
        macs,
    ]


@lru_cache(maxsize=_REMEMBERED)
def _step_macs(layer: DecoderLayerArch, dim: int) -> int:
    """Products of one hypothesis in one decoding step: keys and values of earlier tokens are kept."""
    own = attention_macs(1, 1, dim, dim, layer.qkv_dim) + 2 * PAST_TOKENS * layer.qkv_dim
    cross = 2 * (dim + layer.cross_layers * SOURCE_TOKENS) * layer.cross_qkv_dim
    return own + cross + _expert_macs(layer, 1, dim)


@lru_cache(maxsize=_REMEMBERED)
def _expert_macs(layer: EncoderLayerArch, tokens: int, dim: int) -> int:
    experts = experts_macs(tokens, dim, sum(layer.expert_widths), layer.num_experts, layer.top_k)
    return experts + router_macs(tokens, dim, layer.num_experts)


@lru_cache(maxsize=_REMEMBERED)
def _share_reached(layer: EncoderLayerArch, tokens: int) -> float:
    """Expected share of the experts that at least one of the tokens chooses, at uniform load."""
    missed_by_one: float = 1 - layer.top_k / layer.num_experts
    return 1 - missed_by_one**tokens
