"""The format `ctranslate2`: a folder that `ctranslate2.Translator` loads (Klein et al. 2020).

CTranslate2 has no experts, one head count on each side, and cross-attention to the last encoder layer alone. It
holds other widths of queries, keys and values than the model's dimension, and other dimensions on each side.
We never choose the padding, and the end symbol not at once: that is `suppress_sequences=[["<pad>"]]` and
`min_decoding_length=1`, its default. CTranslate2 spreads the probability of what is forbidden over the rest, and so
its scores can differ from ours by that much.

Shape suffixes: P positions, D model dim, V vocabulary.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from ctranslate2.specs import TransformerSpec
from ctranslate2.specs.attention_spec import MultiHeadAttentionSpec
from ctranslate2.specs.transformer_spec import TransformerDecoderSpec, TransformerEncoderSpec
from torch import Tensor

from automoe.bundle import SEGMENTER_FILE, Bundle
from automoe.decoding.hypothesis import SearchConfig
from automoe.decoding.segmenter import Segmenter
from automoe.decoding.symbols import BOS, EOS, UNK
from automoe.errors import AutoMoEError
from automoe.nn import Transformer
from automoe.nn.embedding import sinusoid
from automoe.space import Architecture, DecoderLayerArch

QUANTIZATIONS = ("float32", "int8")
NUM_POSITIONS = 1024
"""Longest sentence of a model unless more is asked for; CTranslate2 itself cuts sources there by default."""

Weights = dict[str, Tensor]


def write(transformer: Transformer, bundle: Bundle, folder: Path, *, quantization: str) -> str:
    """Writes a bundle's model and its SentencePiece model (see `automoe.export.formats.Write`).

    Raises:
        AutoMoEError: CTranslate2 cannot hold the model; names the layers and why.
    """
    segmenter = Segmenter.from_file(bundle.path(SEGMENTER_FILE), bundle.manifest.placeholder_pattern)
    longest = bundle.manifest.max_source_tokens
    limit = SearchConfig.from_dict(bundle.manifest.decoding).limit(longest)
    num_positions = max(NUM_POSITIONS, longest, limit + 1)
    write_model(transformer, segmenter.pieces(), folder, quantization=quantization, num_positions=num_positions)
    shutil.copyfile(bundle.path(SEGMENTER_FILE), folder / SEGMENTER_FILE)
    return "ctranslate2.Translator('{folder}'), and its translate_batch takes the pieces of " + SEGMENTER_FILE


def write_model(
    transformer: Transformer,
    pieces: Sequence[str],
    folder: Path,
    *,
    quantization: str = "float32",
    num_positions: int = NUM_POSITIONS,
) -> None:
    """Writes the model alone, its vocabulary included, into the folder `folder`, which exists.

    Args:
        transformer: a standalone model: its largest architecture is what is written.
        pieces: the text of every token id.
        folder: where to write.
        quantization: one of `QUANTIZATIONS`; int8 holds for the embedding table too.
        num_positions: longest source and translation, end symbol included.

    Raises:
        AutoMoEError: CTranslate2 cannot hold the model.
    """
    spec = spec_of(transformer, pieces, num_positions=num_positions)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))


def spec_of(
    transformer: Transformer, pieces: Sequence[str], *, num_positions: int = NUM_POSITIONS
) -> TransformerSpec:
    """A model as CTranslate2's converters describe one, in float32.

    Args:
        transformer: a standalone model: its largest architecture is what is described.
        pieces: the text of every token id; there are as many as the model has words.
        num_positions: longest source and translation, end symbol included.

    Raises:
        AutoMoEError: CTranslate2 cannot hold the model; names the layers and why.
    """
    arch, config = transformer.maximum, transformer.config
    if problems := list(_misfits(arch)):
        raise AutoMoEError(
            f"CTranslate2 cannot hold this model: {'; '.join(problems)}",
            hint="Convert it to another format (torch holds every model), or search a space without these",
        )
    weights = {name: tensor.detach().float().clone() for name, tensor in transformer.state_dict().items()}
    encoder, decoder = arch.encoder.layers, arch.decoder.layers
    spec = TransformerSpec(
        TransformerEncoderSpec(len(encoder), encoder[0].heads, pre_norm=config.pre_norm),
        TransformerDecoderSpec(len(decoder), decoder[0].heads, pre_norm=config.pre_norm),
    )
    _set_embeddings(spec.encoder, spec.encoder.embeddings[0], weights, arch.encoder.dim, num_positions)
    _set_embeddings(spec.decoder, spec.decoder.embeddings, weights, arch.decoder.dim, num_positions)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    for side, index, layer in arch.layers():
        layer_spec = getattr(spec, side).layer[index]
        of_layer = _below(f"{side}_layers.{index}", weights)
        dim = getattr(arch, side).dim
        layer_spec.self_attention = _self_attention(of_layer, _head_dim(layer.qkv_dim, layer.heads, dim))
        if isinstance(layer, DecoderLayerArch):
            layer_spec.attention = _cross_attention(of_layer, _head_dim(layer.cross_qkv_dim, layer.cross_heads, dim))
        _set_feed_forward(layer_spec.ffn, of_layer)
    if config.pre_norm:
        _set_norm(spec.encoder.layer_norm, _below("encoder_norm", weights))
        _set_norm(spec.decoder.layer_norm, _below("decoder_norm", weights))
    _set_vocabulary(spec, pieces)
    return spec


def _misfits(arch: Architecture) -> Iterator[str]:
    """What CTranslate2 cannot hold, layer by layer."""
    heads = {"encoder": arch.encoder.layers[0].heads, "decoder": arch.decoder.layers[0].heads}
    for side, index, layer in arch.layers():
        place = f"{side} layer {index}"
        if layer.num_experts > 1:
            yield f"{place} has {layer.num_experts} experts (it knows dense layers only)"
        if layer.heads != heads[side]:
            yield f"{place} has {layer.heads} heads and layer 0 has {heads[side]} (it knows one number on each side)"
        if not isinstance(layer, DecoderLayerArch):
            continue
        if layer.cross_heads != heads[side]:
            yield (
                f"{place} has {layer.cross_heads} heads of cross-attention and layer 0 has {heads[side]} of "
                "self-attention (it knows one number on each side)"
            )
        if layer.cross_layers > 1:
            yield f"{place} attends to the last {layer.cross_layers} encoder layers (it knows the last one only)"


def _set_embeddings(side: Any, embeddings: Any, weights: Weights, dim: int, num_positions: int) -> None:
    table_VD = weights["embedding"][:, :dim]
    embeddings.weight = table_VD.numpy()
    side.scale_embeddings = dim**0.5
    # Stored and not left to the engine, whose own table begins at position 1.
    side.position_encodings.encodings = sinusoid(num_positions, dim, table_VD).numpy()


def _head_dim(qkv_dim: int, heads: int, dim: int) -> int | None:
    """Width of a head, where it is not the one that CTranslate2 takes by itself."""
    return None if qkv_dim == dim else qkv_dim // heads


def _self_attention(weights: Weights, head_dim: int | None) -> MultiHeadAttentionSpec:
    spec = MultiHeadAttentionSpec(self_attention=True, head_dim=head_dim)
    attention = _below("self_attention", weights)
    _set_linear(spec.linear[0], attention, "query", "key", "value")
    _set_linear(spec.linear[1], attention, "output")
    _set_norm(spec.layer_norm, _below("self_norm", weights))
    return spec


def _cross_attention(weights: Weights, head_dim: int | None) -> MultiHeadAttentionSpec:
    spec = MultiHeadAttentionSpec(head_dim=head_dim)
    attention = _below("cross_attention", weights)
    _set_linear(spec.linear[0], attention, "query")
    _set_linear(spec.linear[1], attention, "key", "value")
    _set_linear(spec.linear[2], attention, "output")
    _set_norm(spec.layer_norm, _below("cross_norm", weights))
    return spec


def _set_feed_forward(spec: Any, weights: Weights) -> None:
    for linear, number in ((spec.linear_0, 1), (spec.linear_1, 2)):
        linear.weight = weights[f"experts.w{number}.0"].numpy()
        linear.bias = weights[f"experts.b{number}.0"].numpy()
    _set_norm(spec.layer_norm, _below("expert_norm", weights))


def _set_linear(spec: Any, weights: Weights, *parts: str) -> None:
    """One projection, or several fused into one, the first on top."""
    spec.weight = torch.cat([weights[f"{part}_weight"] for part in parts]).numpy()
    spec.bias = torch.cat([weights[f"{part}_bias"] for part in parts]).numpy()


def _set_norm(spec: Any, weights: Weights) -> None:
    spec.gamma, spec.beta = weights["weight"].numpy(), weights["bias"].numpy()


def _set_vocabulary(spec: TransformerSpec, pieces: Sequence[str]) -> None:
    spec.register_source_vocabulary(list(pieces))
    spec.register_target_vocabulary(list(pieces))
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = pieces[BOS], pieces[EOS], pieces[UNK]
    spec.config.decoder_start_token = pieces[EOS]
    spec.config.add_source_eos = True
    spec.config.layer_norm_epsilon = 1e-5


def _below(prefix: str, weights: Weights) -> Weights:
    """The weights whose names begin with `prefix.`, under the rest of their names."""
    start = f"{prefix}."
    return {name.removeprefix(start): weight for name, weight in weights.items() if name.startswith(start)}
