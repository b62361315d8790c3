"""Analytic costs of one architecture: FLOPs, parameters and memory, without building a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

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
from automoe.space import Architecture, DecoderLayerArch, EncoderLayerArch

BYTES_PER_WEIGHT = 4
"""float32."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What one architecture costs; FLOPs are those of one teacher-forced pass over one sentence pair.

    The projection to the vocabulary stands apart everywhere, as in HAT: it depends on the vocabulary and on the
    decoder's dimension only.
    """

    flops: int
    """Twice the multiply-adds of all matrix products, routers included, experts at uniform load. What budgets use."""
    flops_hat: int
    """`flops` and the elementwise products that the published profiles of HAT count (scaling, layer norms, gates)."""
    flops_last_layer: int
    """Projection to the vocabulary."""
    params_total: int
    """All weights that are stored: embedding and every expert included."""
    params_embedding: int
    """The one table that source, target and output share: vocabulary x the larger of the two dimensions."""
    params_active: int
    """Weights that one token can meet: all but the experts beyond the `top_k` widest of each layer. Where experts
    are unequal this is an upper bound, since a token may meet narrower ones."""
    memory_bytes: int
    """The weights in float32."""

    @property
    def flops_with_last_layer(self) -> int:
        """`flops` and the projection to the vocabulary."""
        return self.flops + self.flops_last_layer

    @property
    def params_without_embedding(self) -> int:
        """All weights but the embedding, as HAT and AutoMoE report sizes."""
        return self.params_total - self.params_embedding

    @property
    def params_active_without_embedding(self) -> int:
        """Active weights but the embedding: AutoMoE's "active parameters"."""
        return self.params_active - self.params_embedding

    def to_dict(self) -> dict[str, int]:
        """All costs by name, the derived ones included."""
        return asdict(self) | {
            "flops_with_last_layer": self.flops_with_last_layer,
            "params_without_embedding": self.params_without_embedding,
            "params_active_without_embedding": self.params_active_without_embedding,
        }


def costs(
    arch: Architecture, *, vocab_size: int, pre_norm: bool, source_tokens: int = 30, target_tokens: int = 30
) -> Costs:
    """The costs of an architecture.

    Args:
        arch: the sizes.
        vocab_size: entries of the shared vocabulary.
        pre_norm: layer norms before the sub-layers, and one more at the end of each side.
        source_tokens: length of the source sentence; 30 in all published WMT numbers.
        target_tokens: length of the target sentence.

    Raises:
        ConfigError: a size that is not above 0.
    """
    for key, value in (
        ("vocab_size", vocab_size),
        ("source_tokens", source_tokens),
        ("target_tokens", target_tokens),
    ):
        if value < 1:
            raise ConfigError(key, value, allowed=">= 1")
    tokens = {"encoder": source_tokens, "decoder": target_tokens}
    dims = {"encoder": arch.encoder.dim, "decoder": arch.decoder.dim}
    embedding = vocab_size * max(dims.values())
    macs = elementwise = total = active = 0
    for side, _, layer in arch.layers():
        macs += _layer_macs(layer, tokens[side], dims[side], source_tokens, dims["encoder"])
        elementwise += _layer_elementwise_macs(layer, tokens[side], dims[side])
        shared = _layer_params_without_experts(layer, dims[side], dims["encoder"])
        total += shared + experts_params(dims[side], sum(layer.expert_widths), layer.num_experts)
        active += shared + experts_params(dims[side], sum(layer.expert_widths[: layer.top_k]), layer.top_k)
    for side, dim in dims.items():
        # Scaling of the embedding; the mask times the running position of each token.
        elementwise += tokens[side] * dim + tokens[side]
        if pre_norm:
            elementwise += tokens[side] * dim * _num_outputs(arch, side)
            total += norm_params(dim)
            active += norm_params(dim)
    return Costs(
        flops=2 * macs,
        flops_hat=2 * (macs + elementwise),
        flops_last_layer=2 * target_tokens * arch.decoder.dim * vocab_size,
        params_total=total + embedding,
        params_embedding=embedding,
        params_active=active + embedding,
        memory_bytes=BYTES_PER_WEIGHT * (total + embedding),
    )


def _layer_macs(layer: EncoderLayerArch, tokens: int, dim: int, source_tokens: int, encoder_dim: int) -> int:
    macs = attention_macs(tokens, tokens, dim, dim, layer.qkv_dim)
    if isinstance(layer, DecoderLayerArch):
        keys = layer.cross_layers * source_tokens
        macs += attention_macs(tokens, keys, dim, encoder_dim, layer.cross_qkv_dim)
    macs += router_macs(tokens, dim, layer.num_experts)
    return macs + experts_macs(tokens, dim, sum(layer.expert_widths), layer.num_experts, layer.top_k)


def _layer_elementwise_macs(layer: EncoderLayerArch, tokens: int, dim: int) -> int:
    macs = gate_macs(tokens, dim, layer.num_experts, layer.top_k)
    for qkv_dim in _attention_widths(layer):
        macs += attention_elementwise_macs(tokens, qkv_dim)
    return macs + tokens * dim * _num_norms(layer)


def _layer_params_without_experts(layer: EncoderLayerArch, dim: int, encoder_dim: int) -> int:
    params = attention_params(dim, dim, layer.qkv_dim) + router_params(dim, layer.num_experts)
    if isinstance(layer, DecoderLayerArch):
        params += attention_params(dim, encoder_dim, layer.cross_qkv_dim)
    return params + norm_params(dim) * _num_norms(layer)


def _num_outputs(arch: Architecture, side: str) -> int:
    """Outputs of a side that its last norm is applied to: of the encoder all that any decoder layer sees."""
    return max(layer.cross_layers for layer in arch.decoder.layers) if side == "encoder" else 1


def _attention_widths(layer: EncoderLayerArch) -> Iterator[int]:
    yield layer.qkv_dim
    if isinstance(layer, DecoderLayerArch):
        yield layer.cross_qkv_dim


def _num_norms(layer: EncoderLayerArch) -> int:
    """One for each sub-layer: attention, cross-attention in a decoder, feed-forward."""
    return 3 if isinstance(layer, DecoderLayerArch) else 2
