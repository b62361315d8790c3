"""Random weights with which a model decodes like a trained one, to time it before anybody trains it.

A Transformer as it is initialised cannot stand in for a trained one: its output table is tied to its input, so that
it repeats its last word, all hypotheses of a beam become alike, and its routers barely tell tokens apart.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from automoe.decoding.symbols import EOS, PAD
from automoe.nn.norm import ElasticLayerNorm
from automoe.nn.transformer import Transformer

ROUTER_LOGIT_STD = 2.0
"""Standard deviation of router scores: the gates are then about as decided as trained ones."""
_FINAL_NORM_STD = 2.0
_SHARED_INPUT = ("query_weight", "key_weight", "value_weight")
"""Drawn smaller, as `Attention` does."""


@torch.no_grad()
def randomise(transformer: Transformer, generator: torch.Generator) -> None:
    """Gives every weight a random value, in place, such that decoding is like that of a trained model.

    Matrices are drawn as for training (Glorot and Bengio 2010), biases are zero. What differs from that: the layer
    norm before the output has random signs, so that a word does not call for itself; words have equal norms, so that
    a search meets many of them and its hypotheses differ; the words of padding and end symbol are zero, so that they
    are unlikely; and router scores have the standard deviation `ROUTER_LOGIT_STD`.

    Args:
        transformer: on any device.
        generator: of random numbers, on any device.
    """
    for name, weight in transformer.named_parameters():
        weight.copy_(_drawn(name, weight.shape, generator))
    of_output = transformer.embedding[:, : transformer.maximum.decoder.dim]
    transformer.embedding.div_(of_output.norm(dim=1, keepdim=True))
    transformer.embedding[[PAD, EOS]] = 0
    final = _final_norm(transformer).weight
    final.copy_(_FINAL_NORM_STD * _normal(final.shape, generator))


def _drawn(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    if name == "embedding":
        return _normal(shape, generator)
    if name.endswith("router_weight"):
        return _normal(shape, generator) * (ROUTER_LOGIT_STD * shape[1] ** -0.5)
    if len(shape) == 1:
        return torch.full(shape, 1.0 if name.endswith("norm.weight") else 0.0)
    limit = (6 / sum(shape)) ** 0.5
    if name.endswith(_SHARED_INPUT):
        limit *= 2**-0.5
    return (2 * _made(torch.rand, shape, generator) - 1) * limit


def _final_norm(transformer: Transformer) -> ElasticLayerNorm:
    """The layer norm whose output meets the table."""
    if transformer.decoder_norm is not None:
        return transformer.decoder_norm
    norm = transformer.decoder_layers[-1].expert_norm
    assert isinstance(norm, ElasticLayerNorm)
    return norm


def _normal(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return _made(torch.randn, shape, generator)


def _made(draw: Callable[..., Tensor], shape: torch.Size, generator: torch.Generator) -> Tensor:
    return draw(shape, generator=generator, device=generator.device)
