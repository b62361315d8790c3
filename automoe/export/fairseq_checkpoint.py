"""The format `fairseq`: a checkpoint, the dictionaries and the SentencePiece model (Ott et al. 2019).

A model whose layers are dense and alike becomes fairseq's own `transformer`, which needs nothing of ours. Its
positions are written as learned ones that hold our sinusoids: fairseq's own begin at the vector of position 2.
Any other model becomes our registered `automoe_transformer`, for which fairseq needs our plug-in
(`--user-dir "$(automoe fairseq-plugin)"`) and sources that are padded on the right: `fairseq-generate
--left-pad-source` (the option turns it off), `fairseq-interactive` one sentence at a time, as it does by default.
`fairseq-generate` leaves out up to seven sentences unless it is told `--required-batch-size-multiple 1`.
Only plain types are written, so that `torch.load` reads the file without trusting it.

Shape suffixes: P positions, D model dim.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from automoe.bundle import SEGMENTER_FILE, Bundle
from automoe.decoding.hypothesis import SearchConfig
from automoe.decoding.segmenter import Segmenter
from automoe.decoding.symbols import PAD, UNK
from automoe.nn import Transformer
from automoe.nn.embedding import sinusoid
from automoe.space import Architecture, DecoderLayerArch

QUANTIZATIONS = ("float32",)
CHECKPOINT_FILE = "checkpoint.pt"
SENTENCEPIECE_FILE = "sentencepiece.model"
NUM_POSITIONS = 1024
"""Longest sentence of a stock model unless the bundle allows longer ones."""

_PARTS = {
    "self_attention": "self_attn",
    "cross_attention": "encoder_attn",
    "self_norm": "self_attn_layer_norm",
    "cross_norm": "encoder_attn_layer_norm",
    "expert_norm": "final_layer_norm",
    "query_": "q_proj.",
    "key_": "k_proj.",
    "value_": "v_proj.",
    "output_": "out_proj.",
    "experts.w1.0": "fc1.weight",
    "experts.b1.0": "fc1.bias",
    "experts.w2.0": "fc2.weight",
    "experts.b2.0": "fc2.bias",
    "encoder_layers": "encoder.layers",
    "decoder_layers": "decoder.layers",
    "encoder_norm": "encoder.layer_norm",
    "decoder_norm": "decoder.layer_norm",
}
"""Our part of a parameter's name to fairseq's."""


def write(transformer: Transformer, bundle: Bundle, folder: Path, *, quantization: str) -> str:
    """Writes checkpoint, dictionaries and SentencePiece model (see `automoe.export.formats.Write`)."""
    manifest = bundle.manifest
    longest = manifest.max_source_tokens
    search = SearchConfig.from_dict(manifest.decoding)
    languages = (manifest.source_language, manifest.target_language)
    checkpoint = checkpoint_of(
        transformer, *languages, num_positions=max(NUM_POSITIONS, longest, search.limit(longest) + 2)
    )
    torch.save(checkpoint, folder / CHECKPOINT_FILE)
    segmenter = Segmenter.from_file(bundle.path(SEGMENTER_FILE), manifest.placeholder_pattern)
    for language in languages:
        (folder / f"dict.{language}.txt").write_text(dictionary_text(segmenter.pieces()), encoding="utf-8")
    shutil.copyfile(bundle.path(SEGMENTER_FILE), folder / SENTENCEPIECE_FILE)
    return _command(search, languages, is_stock(transformer.maximum))


def is_stock(arch: Architecture) -> bool:
    """Whether fairseq's `transformer` can hold the architecture: dense layers, alike on each side.

    Attention is as wide as the model and sees the last encoder layer alone.
    """
    for side in (arch.encoder, arch.decoder):
        for layer in side.layers:
            alike = layer.heads == side.layers[0].heads and layer.expert_widths == side.layers[0].expert_widths
            if not alike or layer.num_experts > 1 or layer.qkv_dim != side.dim:
                return False
            if isinstance(layer, DecoderLayerArch) and (
                (layer.cross_heads, layer.cross_qkv_dim, layer.cross_layers) != (layer.heads, side.dim, 1)
            ):
                return False
    return True


def checkpoint_of(
    transformer: Transformer, source_language: str, target_language: str, *, num_positions: int = NUM_POSITIONS
) -> dict[str, Any]:
    """What `torch.save` writes for fairseq.

    Args:
        transformer: a standalone model: its largest architecture is what is written.
        source_language: language code.
        target_language: language code.
        num_positions: longest source and translation of a stock model, end symbol included.

    Returns:
        The configuration as fairseq keeps it since 0.10, the weights, and the history of a training of no updates.
    """
    if is_stock(transformer.maximum):
        model = _stock_config(transformer, num_positions)
        weights = _stock_weights(transformer, num_positions)
    else:
        model = _own_config(transformer)
        weights = {f"transformer.{name}": weight for name, weight in transformer.state_dict().items()}
    task = {
        "_name": "translation",
        "data": ".",  # the folder of the dictionaries; fairseq-generate is told it
        "source_lang": source_language,
        "target_lang": target_language,
        "left_pad_source": is_stock(transformer.maximum),
        "left_pad_target": False,
        "max_source_positions": num_positions,
        "max_target_positions": num_positions,
    }
    history = {
        "criterion_name": "CrossEntropyCriterion",
        "optimizer_name": "FairseqAdam",
        "lr_scheduler_state": {},
        "num_updates": 0,
    }
    return {
        "args": None,
        "cfg": {"_name": None, "model": model, "task": task},
        "model": {name: weight.detach().float().contiguous() for name, weight in weights.items()},
        "optimizer_history": [history],
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "last_optimizer_state": None,
    }


def dictionary_text(pieces: Sequence[str]) -> str:
    """The text of `dict.LANGUAGE.txt`: fairseq puts its four symbols, which are also ours, before these."""
    return "".join(f"{piece} 1\n" for piece in pieces[UNK + 1 :])


def _stock_config(transformer: Transformer, num_positions: int) -> dict[str, Any]:
    arch, config = transformer.maximum, transformer.config
    model: dict[str, Any] = {
        "_name": "transformer",
        "share_all_embeddings": arch.encoder.dim == arch.decoder.dim,
        "share_decoder_input_output_embed": True,
        "activation_fn": "relu",
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "max_source_positions": num_positions,
        "max_target_positions": num_positions,
    }
    for name, side in (("encoder", arch.encoder), ("decoder", arch.decoder)):
        model |= {
            f"{name}_layers": len(side.layers),
            f"{name}_embed_dim": side.dim,
            f"{name}_ffn_embed_dim": side.layers[0].expert_widths[0],
            f"{name}_attention_heads": side.layers[0].heads,
            f"{name}_normalize_before": config.pre_norm,
            f"{name}_learned_pos": True,
        }
    return model | {"decoder_output_dim": arch.decoder.dim, "decoder_input_dim": arch.decoder.dim}


def _own_config(transformer: Transformer) -> dict[str, Any]:
    config = transformer.config
    return {
        "_name": "automoe_transformer",
        "architecture": json.dumps(transformer.maximum.to_dict()),
        "post_norm": not config.pre_norm,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "expert_dropout": config.expert_dropout,
        "router_jitter": config.router_jitter,
        "capacity_factor": config.capacity_factor,
        "router_precision": config.router_precision,
    }


def _stock_weights(transformer: Transformer, num_positions: int) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for name, weight in transformer.state_dict().items():
        for ours, theirs in _PARTS.items():
            name = name.replace(ours, theirs)
        weights[name] = weight
    table = weights.pop("embedding")
    for side, dim in (("encoder", transformer.maximum.encoder.dim), ("decoder", transformer.maximum.decoder.dim)):
        weights[f"{side}.embed_tokens.weight"] = table[:, :dim]
        weights[f"{side}.embed_positions.weight"] = _positions(num_positions, dim, table)
        weights[f"{side}.version"] = torch.tensor([3.0])  # of fairseq's code: 3 since 2018
    weights["decoder.output_projection.weight"] = weights["decoder.embed_tokens.weight"]
    return weights


def _command(search: SearchConfig, languages: tuple[str, str], stock: bool) -> str:
    parts = [
        f"fairseq-interactive '{{folder}}' --path '{{folder}}/{CHECKPOINT_FILE}'",
        f"--source-lang {languages[0]} --target-lang {languages[1]}",
        f"--bpe sentencepiece --sentencepiece-model '{{folder}}/{SENTENCEPIECE_FILE}'",
        f"--beam {search.beam} --lenpen {search.length_penalty}",
        f"--max-len-a {search.max_ratio} --max-len-b {search.max_extra} --min-len {search.min_length}",
    ]
    return " ".join(parts if stock else [*parts, '--user-dir "$(automoe fairseq-plugin)"'])


def _positions(length: int, dim: int, like: Tensor) -> Tensor:
    """Sinusoids after the rows of fairseq that no token takes, up to that of the padding."""
    position_PD = sinusoid(length, dim, like)
    return torch.cat([position_PD.new_zeros(PAD + 1, dim), position_PD])
