"""Random architectures, models of them in which every weight matters, and bundles of these."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automoe.bundle import Bundle
from automoe.decoding import EOS, Int64Array
from automoe.export import export_bundle
from automoe.nn import Transformer, TransformerConfig
from automoe.space import Architecture
from tests.architectures import architecture, decoder_layer, encoder_layer, random_slice

LARGEST = architecture(
    24,
    [encoder_layer(24), encoder_layer(32, 24, 16, 16, 8), encoder_layer(24, 24, 24)],
    24,
    [
        decoder_layer(24, 16, 16, 8, 8, 8, cross_layers=3),
        decoder_layer(24, cross_layers=3),
        decoder_layer(24, 24, 16, cross_layers=3),
    ],
)


def random_architecture(rng: np.random.Generator) -> Architecture:
    """Dense and expert layers of any widths and heads, each side of its own dimension, any number of attended layers.

    From 1 to all experts see a token.
    """
    arch, _ = random_slice(LARGEST, rng)

    def with_top_k(layers: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(replace(layer, top_k=int(rng.integers(1, layer.num_experts + 1))) for layer in layers)

    return replace(
        arch,
        encoder=replace(arch.encoder, layers=with_top_k(arch.encoder.layers)),
        decoder=replace(arch.decoder, layers=with_top_k(arch.decoder.layers)),
    )


def random_transformer(arch: Architecture, *, vocab_size: int, pre_norm: bool = True, seed: int = 0) -> Transformer:
    """A model with random biases and norms too, so that none of them can be forgotten unseen."""
    generator = torch.Generator().manual_seed(seed)
    transformer = Transformer(arch, TransformerConfig(vocab_size=vocab_size, pre_norm=pre_norm))
    with torch.no_grad():
        for name, weight in transformer.named_parameters():
            drawn = torch.randn(weight.shape, generator=generator)
            if "norm" in name:
                weight.add_(0.3 * drawn)
            else:
                weight.copy_(drawn * (0.3 if weight.dim() == 1 else weight.shape[1] ** -0.5))
            if "router" in name:
                weight.mul_(3)  # an expert chosen by a hair may be another one when sums are rounded differently
    return transformer.eval()


def random_sources(rng: np.random.Generator, *, vocab_size: int, count: int, longest: int = 9) -> list[Int64Array]:
    """Sentences of 1 to `longest` tokens, each with its end symbol."""
    return [np.append(rng.integers(3, vocab_size, size=rng.integers(1, longest + 1)), EOS) for _ in range(count)]


def export_random(transformer: Transformer, folder: Path, **options: Any) -> Bundle:
    """The bundle of a model without a vocabulary: good for backends, not for text."""
    return export_bundle(
        transformer,
        folder,
        **{
            "segmenter_model": b"none",
            "placeholder_pattern": None,
            "source_language": "en",
            "target_language": "de",
            "max_source_tokens": 40,
            "decoding": {},
            "info": {},
        }
        | options,
    )
