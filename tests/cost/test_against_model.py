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

from automoe.nn import Transformer, TransformerConfig


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


@pytest.mark.parametrize("pre_norm", [True, False])
def test_parameters_of_shipped_architectures_are_those_of_the_models(pre_norm):
    archs = [read_architecture(find_architecture(name)) for name in ("tiny", "quickstart")]
    for arch in (*archs, read_space(find_space("quickstart")).largest()):
        assert costs(arch, vocab_size=600, pre_norm=pre_norm).params_total == num_weights(arch, 600, pre_norm)
