"""A bundle with a random model and a small vocabulary, and what it was made of."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import sentencepiece
import torch

from automoe.bundle import WEIGHTS_FILE, Bundle, read_tensors, write_bundle
from automoe.decoding import SearchConfig
from automoe.decoding.placeholders import DEFAULT_PATTERN, SYMBOLS
from automoe.decoding.shortlist import Shortlist
from automoe.export import export_bundle
from automoe.export.weight_file import WeightFile
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

Arrays = Mapping[str, npt.NDArray[Any]]


@cache
def segmenter_model(text: str = TEXT) -> bytes:
    """A SentencePiece model of a few dozen pieces."""
    stream = io.BytesIO()
    words = text.split()
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


def make_bundle(
    folder: Path,
    *,
    weights: dict[str, Any] | bytes | None = None,
    shortlist: Shortlist | None = None,
    **changes: Any,
) -> TinyBundle:
    """Writes a bundle; `weights` and the manifest's fields can be replaced by wrong ones, with right checksums."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=segmenter_model())
    torch.manual_seed(0)
    transformer = Transformer(MAXIMUM, TransformerConfig(vocab_size=processor.get_piece_size())).eval()
    bundle = export_bundle(
        transformer,
        folder,
        segmenter_model=segmenter_model(),
        placeholder_pattern=DEFAULT_PATTERN,
        source_language="en",
        target_language="de",
        max_source_tokens=40,
        decoding=DECODING.to_dict(),
        info={},
        shortlist=shortlist,
    )
    if weights is not None:
        content = weights if isinstance(weights, bytes) else safetensors.torch.save(weights)
        bundle = sealed_again(bundle, {WEIGHTS_FILE: content})
    if changes:
        bundle = sealed_again(bundle, {}, **changes)
    return TinyBundle(bundle, transformer)


def sealed_again(bundle: Bundle, files: Mapping[str, bytes | None], **changes: Any) -> Bundle:
    """Writes a bundle anew with other files (None leaves one out) and right checksums, as its maker might have."""
    kept = {name: bundle.path(name).read_bytes() for name in bundle.manifest.files}
    content = {name: content for name, content in (kept | dict(files)).items() if content is not None}
    return write_bundle(bundle.folder, replace(bundle.manifest, files={}, **changes), content)


def with_tensors(bundle: Bundle, name: str, change: Callable[[dict[str, npt.NDArray[Any]]], Arrays]) -> Bundle:
    """Writes a bundle anew with other tensors in its weight file `name`."""
    tensors = {key: np.array(array) for key, array in read_tensors(bundle.path(name)).items()}
    return sealed_again(bundle, {name: WeightFile(name, change(tensors)).to_bytes()})
