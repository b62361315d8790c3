"""Models whose next token is never in doubt, and bundles of them: engines that add in other orders agree on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from automoe.bundle import Bundle
from automoe.decoding import EOS, Int64Array
from automoe.decoding.segmenter import Segmenter
from automoe.export import export_bundle
from automoe.nn import Transformer, TransformerConfig
from automoe.space import Architecture
from tests.runtime.tiny_bundle import DECODING, segmenter_model

SEGMENTER = Segmenter(segmenter_model())
PIECES = SEGMENTER.pieces()


def sharp_transformer(arch: Architecture, *, pre_norm: bool = True, seed: int = 0) -> Transformer:
    """A random model whose translations are of many tokens.

    Its words have equal norms and the last layer norm has random signs; else few words would win everywhere, or the
    input word itself (the table is tied).
    """
    generator = torch.Generator().manual_seed(seed)
    transformer = Transformer(arch, TransformerConfig(vocab_size=len(PIECES), pre_norm=pre_norm))
    last = "decoder_norm.weight" if pre_norm else f"decoder_layers.{len(arch.decoder.layers) - 1}.expert_norm.weight"
    with torch.no_grad():
        for name, weight in transformer.named_parameters():
            drawn = torch.randn(weight.shape, generator=generator)
            if name == last:
                weight.copy_(8 * drawn)
            elif "norm" in name:
                weight.add_(0.1 * drawn)
            else:
                weight.copy_(drawn * (0.1 if weight.dim() == 1 else weight.shape[1] ** -0.5))
            if "query" in name or "key" in name:
                weight.mul_(2)
            elif "output_weight" in name or "w2" in name:
                weight.mul_(0.7)
        transformer.embedding.div_(transformer.embedding.norm(dim=1, keepdim=True))
    return transformer.eval()


def random_sources(count: int, seed: int = 0) -> list[Int64Array]:
    """Sentences of 2 to 12 tokens that are no special symbols, each with its end symbol."""
    rng = np.random.default_rng(seed)
    return [np.append(rng.integers(4, len(PIECES), size=rng.integers(2, 13)), EOS) for _ in range(count)]


def export_sharp(transformer: Transformer, folder: Path) -> Bundle:
    """The model's bundle."""
    return export_bundle(
        transformer,
        folder,
        segmenter_model=segmenter_model(),
        placeholder_pattern=SEGMENTER.placeholder_pattern,
        source_language="en",
        target_language="de",
        max_source_tokens=40,
        decoding=DECODING.to_dict(),
        info={},
    )
