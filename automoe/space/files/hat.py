"""Reads the sub-transformer files of HAT (Wang et al. 2020) and AutoMoE (Jawahar et al. 2023).

They are fairseq arguments: one list over layers for each kind of size. `qkv-dim` is 512 in all published
spaces; the encoder layers that cross-attention sees are coded -1, 1, 2 for the last 1, 2, 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from automoe.space.architecture import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    EncoderArch,
    EncoderLayerArch,
)
from automoe.space.files.fields import MAX_SIZE, Field, Mistakes
from automoe.space.files.yaml_file import tree_from_mapping, tree_from_yaml

QKV_DIM = 512
"""Width of queries, keys and values in every published space."""

_ENDING = "-subtransformer"
_CROSS_LAYERS = {"-1": 1, "1": 2, "2": 3}
_SIZES = ("embed-dim", "layer-num", "ffn-embed-dim-all", "self-attention-heads-all")
_DECODER_SIZES = ("ende-attention-heads-all", "arbitrary-ende-attn-all")
_EXPERTS = ("n-experts", "num-experts-to-route", "each-expert-ffn-dim-listoflist")
_KEPT = ("std-vs-dummy-experts", "drop-mha-sublayer", "drop-ffn-sublayer")
"""Lists of ones; a zero replaces an expert by the identity or drops a part of a layer."""

_REQUIRED = tuple(
    f"{side}-{size}{_ENDING}"
    for side in ("encoder", "decoder")
    for size in (_SIZES if side == "encoder" else _SIZES + _DECODER_SIZES)
)
_OPTIONAL = tuple(f"{side}-{key}" for side in ("encoder", "decoder") for key in _EXPERTS + _KEPT)
_UNRELATED = (
    "train-subtransformer", "arch", "share-all-embeddings", "share-decoder-input-output-embed", "max-tokens",
    "data", "source-lang", "target-lang", "optimizer", "adam-betas", "clip-norm", "weight-decay", "dropout",
    "attention-dropout", "criterion", "label-smoothing", "ddp-backend", "fp16", "update-freq", "max-update",
    "warmup-updates", "lr-scheduler", "warmup-init-lr", "max-lr", "min-lr", "lr", "lr-shrink", "keep-last-epochs",
    "save-interval", "validate-interval", "encoder-embed-dim", "decoder-embed-dim", "encoder-ffn-embed-dim",
    "decoder-ffn-embed-dim", "encoder-layers", "decoder-layers", "encoder-attention-heads",
    "decoder-attention-heads",
)  # fmt: skip
"""Keys of HAT's four `common.yml`, which people append: training, and the sizes of the super-transformer."""


def is_hat(root: Field) -> bool:
    """Whether a file is in HAT's form: its keys end in `-subtransformer`."""
    return any(pair.key.endswith(_ENDING) for pair in root.tree.pairs or ())


def parse_hat(mapping: Mapping[str, Any]) -> Architecture:
    """The architecture of HAT's or AutoMoE's arguments, for example of `yaml.safe_load`.

    Raises:
        SpaceError: a key is missing, unknown or wrong.
    """
    return _parse(Field(tree_from_mapping(mapping), mistakes := Mistakes(None)), mistakes)


def parse_arch_info(lines: Sequence[str], file: Path | None = None) -> Architecture:
    """The architecture of `arch_info` lines ("key: value"), as tables of trained sub-transformers hold them.

    Raises:
        SpaceError: as `parse_hat`; the line counts from the first of `lines`.
    """
    mistakes = Mistakes(file)
    return _parse(Field(tree_from_yaml("\n".join(lines), file), mistakes), mistakes)


def architecture_of_hat(root: Field) -> Architecture | None:
    """The architecture of a file in HAT's form; None, and its mistakes noted, if there is none."""
    entries = root.entries((*_REQUIRED, "qkv-dim", *_OPTIONAL), required=_REQUIRED, tolerated=_UNRELATED)
    qkv_dim = entries["qkv-dim"].whole_number() if "qkv-dim" in entries else QKV_DIM
    encoder = _Side(entries, "encoder", qkv_dim)
    decoder = _Side(entries, "decoder", qkv_dim)
    cross_heads = decoder.heads("ende-attention-heads-all" + _ENDING)
    cross_layers = decoder.cross_layers(encoder.depth)
    if qkv_dim is None or not root.is_clean:
        return None
    return Architecture(
        encoder=EncoderArch(
            dim=encoder.dim,
            layers=tuple(EncoderLayerArch(qkv_dim=qkv_dim, **layer) for layer in encoder.layers()),
        ),
        decoder=DecoderArch(
            dim=decoder.dim,
            layers=tuple(
                DecoderLayerArch(
                    qkv_dim=qkv_dim, cross_qkv_dim=qkv_dim, cross_heads=heads, cross_layers=last, **layer
                )
                for layer, heads, last in zip(decoder.layers(), cross_heads, cross_layers, strict=True)
            ),
        ),
    )


class _Side:
    """One side's arguments, read into lists with an entry for each layer."""

    def __init__(self, entries: dict[str, Field], side: str, qkv_dim: int | None) -> None:
        self._entries, self._side, self._qkv_dim = entries, side, qkv_dim
        self.dim = self._number("embed-dim" + _ENDING)
        if self.dim % 2:
            entries[f"{side}-embed-dim{_ENDING}"].wrong("sinusoidal positions need an even dimension")
        self.depth = self._number("layer-num" + _ENDING, maximum=256)
        self._heads = self.heads("self-attention-heads-all" + _ENDING)
        self._widths = self.numbers("ffn-embed-dim-all" + _ENDING)
        self._counts = self.numbers("n-experts") or [1] * self.depth
        self._top_k = self.numbers("num-experts-to-route") or [1] * self.depth
        self._each_width = self._lists_of_widths()
        for key in _KEPT:
            if 0 in self.numbers(key, minimum=0):
                self._entries[f"{side}-{key}"].wrong("dropped parts and identity experts cannot be expressed")

    def layers(self) -> list[dict[str, Any]]:
        """Sizes of each layer, but for its `qkv_dim`."""
        return [
            {
                "heads": self._heads[index],
                "expert_widths": self._each_width[index] or (self._widths[index],) * self._counts[index],
                "top_k": min(self._top_k[index], self._counts[index]),
            }
            for index in range(self.depth)
        ]

    def numbers(self, key: str, minimum: int = 1) -> list[int]:
        """One number a layer; entries of layers beyond the depth are left out. Empty if the key is absent."""
        return [number for field in self._per_layer(key) if (number := field.whole_number(minimum)) is not None]

    def heads(self, key: str) -> list[int]:
        """Numbers of heads, each of which divides the width of the attention."""
        for field in self._per_layer(key):
            count = field.whole_number()
            if count is not None and self._qkv_dim is not None and self._qkv_dim % count:
                field.wrong(f"qkv-dim {self._qkv_dim} cannot be divided into {count} equal heads")
        return self.numbers(key)

    def cross_layers(self, encoder_depth: int) -> list[int]:
        """How many of the last encoder layers each decoder layer sees."""
        found = []
        for field in self._per_layer("arbitrary-ende-attn-all" + _ENDING):
            last = _CROSS_LAYERS.get(field.tree.text)
            if last is None:
                field.wrong("is not a code of attended encoder layers", allowed="-1, 1, 2 (the last 1, 2, 3 layers)")
            elif last > encoder_depth > 0:
                field.wrong(f"means the last {last} encoder layers, there are {encoder_depth}")
            else:
                found.append(last)
        return found

    def _number(self, key: str, maximum: int = MAX_SIZE) -> int:
        field = self._entries.get(f"{self._side}-{key}")
        return (field.whole_number(maximum=maximum) if field is not None else None) or 0

    def _per_layer(self, key: str) -> list[Field]:
        field = self._entries.get(f"{self._side}-{key}")
        if field is None:
            return []
        elements = field.elements()
        if elements and len(elements) < self.depth:
            field.wrong(f"has {len(elements)} entries for {self.depth} layers")
        return elements[: self.depth]

    def _lists_of_widths(self) -> list[tuple[int, ...] | None]:
        """Widths written as '3072_1024', one number for each expert, as AutoMoE's search writes them."""
        found: list[tuple[int, ...] | None] = []
        for count, field in zip(self._counts, self._per_layer(_EXPERTS[-1]), strict=False):
            words = field.tree.text.strip("'\"").split("_")
            if not all(word.isascii() and word.isdigit() and int(word) > 0 for word in words):
                field.wrong("is not a list of expert widths", allowed="numbers joined by _, like '3072_1024'")
            elif len(words) != count:
                field.wrong(f"has {len(words)} width(s), the layer has {count} expert(s)")
            else:
                found.append(tuple(map(int, words)))
        return found or [None] * self.depth


def _parse(root: Field, mistakes: Mistakes) -> Architecture:
    arch = architecture_of_hat(root)
    mistakes.raise_first()
    if arch is None:
        raise AssertionError("arguments without mistakes must make an architecture")
    return arch
