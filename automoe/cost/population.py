"""Analytic costs of thousands of architectures at once, from their genomes.

Shape suffixes: N genomes, G genes of a genome, E experts of a layer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from automoe.cost.analytic import BYTES_PER_WEIGHT
from automoe.cost.formulas import (
    attention_elementwise_macs,
    attention_macs,
    attention_params,
    experts_macs,
    experts_params,
    gate_macs,
    norm_params,
    router_macs,
    router_params,
)
from automoe.errors import ConfigError
from automoe.space import DecoderLayerSizes, GenomeCodec, LayerSizes

Ints = npt.NDArray[np.int64]


def population_costs(
    codec: GenomeCodec,
    genome_NG: npt.NDArray[np.integer],
    *,
    vocab_size: int,
    pre_norm: bool,
    source_tokens: int = 30,
    target_tokens: int = 30,
) -> dict[str, Ints]:
    """The costs of many architectures of one space: to the last unit those that `costs` gives for each alone.

    Args:
        codec: what made the genomes.
        genome_NG: the architectures, in canonical form or not.
        vocab_size: entries of the shared vocabulary.
        pre_norm: layer norms before the sub-layers, and one more at the end of each side.
        source_tokens: length of the source sentence.
        target_tokens: length of the target sentence.

    Returns:
        For each name of `Costs.to_dict()` an int64 array of shape (N,).

    Raises:
        ConfigError: a size that is not above 0.
        SpaceError: genomes of another space.
    """
    given = {"vocab_size": vocab_size, "source_tokens": source_tokens, "target_tokens": target_tokens}
    for key, value in given.items():
        if value < 1:
            raise ConfigError(key, value, allowed=">= 1")
    genome_NG = codec.canonical(genome_NG)
    tokens = {"encoder": np.asarray(source_tokens), "decoder": np.asarray(target_tokens)}
    # Every architecture has a first layer, so both sides get their entries.
    dims: dict[str, Ints] = {}
    num_outputs = {"encoder": np.zeros(len(genome_NG), dtype=np.int64), "decoder": np.asarray(1)}
    macs_N, elementwise_N, total_N, active_N = np.zeros((4, len(genome_NG)), dtype=np.int64)
    for layer in codec.layer_sizes(genome_NG):
        dims[layer.side] = layer.dim_N
        if isinstance(layer, DecoderLayerSizes):  # what no layer sees needs no norm
            num_outputs["encoder"] = np.maximum(num_outputs["encoder"], layer.present_N * layer.cross_layers_N)
        args = (layer, tokens[layer.side], tokens["encoder"], dims["encoder"])
        macs_N += layer.present_N * _layer_macs(*args)
        elementwise_N += layer.present_N * _layer_elementwise_macs(layer, tokens[layer.side])
        layer_total_N, layer_active_N = _layer_params(layer, dims["encoder"])
        total_N += layer.present_N * layer_total_N
        active_N += layer.present_N * layer_active_N
    for side, dim_N in dims.items():
        # Scaling of the embedding; the mask times the running position of each token.
        elementwise_N += tokens[side] * dim_N + tokens[side]
        if pre_norm:
            elementwise_N += tokens[side] * dim_N * num_outputs[side]
            total_N += norm_params(dim_N)
            active_N += norm_params(dim_N)
    embedding_N = vocab_size * np.maximum(dims["encoder"], dims["decoder"])
    last_layer_N = 2 * target_tokens * dims["decoder"] * vocab_size
    return {
        "flops": 2 * macs_N,
        "flops_hat": 2 * (macs_N + elementwise_N),
        "flops_last_layer": last_layer_N,
        "params_total": total_N + embedding_N,
        "params_embedding": embedding_N,
        "params_active": active_N + embedding_N,
        "memory_bytes": BYTES_PER_WEIGHT * (total_N + embedding_N),
        "flops_with_last_layer": 2 * macs_N + last_layer_N,
        "params_without_embedding": total_N,
        "params_active_without_embedding": active_N,
    }


def _layer_macs(layer: LayerSizes, tokens: Ints, source_tokens: Ints, encoder_dim_N: Ints) -> Ints:
    dim_N = layer.dim_N
    macs_N = attention_macs(tokens, tokens, dim_N, dim_N, layer.qkv_dim_N)
    if isinstance(layer, DecoderLayerSizes):
        keys_N = layer.cross_layers_N * source_tokens
        macs_N = macs_N + attention_macs(tokens, keys_N, dim_N, encoder_dim_N, layer.cross_qkv_dim_N)
    num_experts_N = np.maximum(layer.num_experts_N, 1)  # where the layer is absent: no division by 0
    macs_N = macs_N + experts_macs(tokens, dim_N, layer.width_NE.sum(axis=1), num_experts_N, layer.top_k_N)
    return macs_N + router_macs(tokens, dim_N, layer.num_experts_N)


def _layer_elementwise_macs(layer: LayerSizes, tokens: Ints) -> Ints:
    macs_N = gate_macs(tokens, layer.dim_N, layer.num_experts_N, layer.top_k_N)
    macs_N = macs_N + attention_elementwise_macs(tokens, layer.qkv_dim_N)
    if isinstance(layer, DecoderLayerSizes):
        macs_N = macs_N + attention_elementwise_macs(tokens, layer.cross_qkv_dim_N)
    return macs_N + tokens * layer.dim_N * _num_norms(layer)


def _layer_params(layer: LayerSizes, encoder_dim_N: Ints) -> tuple[Ints, Ints]:
    """All parameters of the layer, and those that one token can meet."""
    dim_N = layer.dim_N
    shared_N = attention_params(dim_N, dim_N, layer.qkv_dim_N) + router_params(dim_N, layer.num_experts_N)
    if isinstance(layer, DecoderLayerSizes):
        shared_N = shared_N + attention_params(dim_N, encoder_dim_N, layer.cross_qkv_dim_N)
    shared_N = shared_N + norm_params(dim_N) * _num_norms(layer)
    is_widest_NE = np.arange(layer.width_NE.shape[1]) < layer.top_k_N[:, None]
    active_width_N = (layer.width_NE * is_widest_NE).sum(axis=1)
    return (
        shared_N + experts_params(dim_N, layer.width_NE.sum(axis=1), layer.num_experts_N),
        shared_N + experts_params(dim_N, active_width_N, layer.top_k_N),
    )


def _num_norms(layer: LayerSizes) -> int:
    """One for each sub-layer: attention, cross-attention in a decoder, feed-forward."""
    return 3 if isinstance(layer, DecoderLayerSizes) else 2
