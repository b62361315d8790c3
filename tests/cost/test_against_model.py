"""The analytic counts against the model that they speak of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.cost import costs
from automoe.space import find_architecture, read_architecture, read_space
from automoe.space.shipped import find_space
from tests.architectures import MAXIMUM, random_slice

pytest.importorskip("torch")

import numpy as np
import torch

from automoe.nn import Transformer, TransformerConfig
from automoe.nn.norm import ElasticLayerNorm


def num_weights(arch, vocab_size, pre_norm):
    model = Transformer(arch, TransformerConfig(vocab_size=vocab_size, pre_norm=pre_norm))
    return sum(weight.numel() for weight in model.parameters())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(5, 300), st.booleans())
def test_parameters_are_those_of_the_model_that_is_built(seed, vocab_size, pre_norm):
    arch, _ = random_slice(MAXIMUM, np.random.default_rng(seed))
    assert costs(arch, vocab_size=vocab_size, pre_norm=pre_norm).params_total == num_weights(
        arch, vocab_size, pre_norm
    )


def normalised_and_gated(arch, vocab_size, pre_norm, source_tokens, target_tokens):
    """How many numbers the model's layer norms put out, and how many its gates scale, in one pass."""
    model = Transformer(arch, TransformerConfig(vocab_size=vocab_size, pre_norm=pre_norm))
    normalised = []
    for norm in (module for module in model.modules() if isinstance(module, ElasticLayerNorm)):
        norm.register_forward_hook(lambda _module, _inputs, output: normalised.append(output.numel()))
    routings = model(torch.full((1, source_tokens), 4), torch.full((1, target_tokens), 4)).routings
    dims = {"encoder": arch.encoder.dim, "decoder": arch.decoder.dim}
    return sum(normalised), sum(routing.gate_TK.numel() * dims[side] for (side, _), routing in routings.items())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_elementwise_products_are_those_of_the_norms_and_gates_that_the_model_runs(seed, source, target, pre_norm):
    arch, _ = random_slice(MAXIMUM, np.random.default_rng(seed))
    cost = costs(arch, vocab_size=9, pre_norm=pre_norm, source_tokens=source, target_tokens=target)
    tokens, dims = {"encoder": source, "decoder": target}, {"encoder": arch.encoder.dim, "decoder": arch.decoder.dim}
    scaled = sum(tokens[side] * (dim + 1) for side, dim in dims.items())
    for side, _, layer in arch.layers():
        for width in (layer.qkv_dim, layer.cross_qkv_dim) if side == "decoder" else (layer.qkv_dim,):
            scaled += tokens[side] * width + 3
    counted = scaled + sum(normalised_and_gated(arch, 9, pre_norm, source, target))
    assert cost.flops_hat - cost.flops == 2 * counted


@pytest.mark.parametrize("pre_norm", [True, False])
def test_parameters_of_shipped_architectures_are_those_of_the_models(pre_norm):
    archs = [read_architecture(find_architecture(name)) for name in ("tiny", "quickstart")]
    for arch in (*archs, read_space(find_space("quickstart")).largest()):
        assert costs(arch, vocab_size=600, pre_norm=pre_norm).params_total == num_weights(arch, 600, pre_norm)
