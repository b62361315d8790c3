"""A bundle with a random model and a small vocabulary, and what it was made of."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import safetensors.torch
import sentencepiece
import torch

from automoe.bundle import CARD_FILE, SEGMENTER_FILE, WEIGHTS_FILE, Bundle, BundleManifest, write_bundle
from automoe.decoding import SearchConfig
from automoe.decoding.placeholders import DEFAULT_PATTERN, SYMBOLS
from automoe.nn import Transformer, TransformerConfig
from tests.architectures import MAXIMUM

TEXT = "the cat sat on a mat while two dogs ran through green fields behind our old house"
SENTENCES = [
    "the cat sat on a mat",
    "two dogs",
    "",
    "our old house behind green fields",
    "a dog ran through {place} while the cat sat",
    "green",
    "   ",
    "the old cat ran on while two dogs sat behind the house",
]
DECODING = SearchConfig(beam=4, max_ratio=1.0, max_extra=5)


@cache
def segmenter_model() -> bytes:
    """A SentencePiece model of a few dozen pieces."""
    stream = io.BytesIO()
    words = TEXT.split()
    texts = [" ".join(words[i:] + words[:i]) for i in range(len(words))]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=stream,
        vocab_size=64,
        model_type="unigram",
        bos_id=0,
        pad_id=1,
        eos_id=2,
        unk_id=3,
        user_defined_symbols=",".join(SYMBOLS),
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return stream.getvalue()


@dataclass(frozen=True)
class TinyBundle:
    bundle: Bundle
    transformer: Transformer


def make_bundle(folder: Path, *, weights: dict[str, Any] | bytes | None = None, **changes: Any) -> TinyBundle:
    """Writes a bundle; `weights` and the manifest's fields can be replaced by wrong ones."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=segmenter_model())
    torch.manual_seed(0)
    config = TransformerConfig(vocab_size=processor.get_piece_size())
    transformer = Transformer(MAXIMUM, config)
    fields = {
        "architecture": MAXIMUM.to_dict(),
        "model": config.to_dict(),
        "source_language": "en",
        "target_language": "de",
        "placeholder_pattern": DEFAULT_PATTERN,
        "max_source_tokens": 40,
        "decoding": DECODING.to_dict(),
    }
    if not isinstance(weights, bytes):
        weights = safetensors.torch.save(dict(transformer.state_dict()) if weights is None else weights)
    files = {WEIGHTS_FILE: weights, SEGMENTER_FILE: segmenter_model(), CARD_FILE: b"# Tiny\n"}
    bundle = write_bundle(folder, BundleManifest(**(fields | changes)), files)
    return TinyBundle(bundle, transformer.eval())
