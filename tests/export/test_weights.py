"""The order of weights, and weights that are refused."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from automoe.errors import AutoMoEError  # noqa: E402
from automoe.export.weight_file import WeightFile  # noqa: E402
from automoe.export.weights import ordered_weights  # noqa: E402
from tests.export.random_models import random_architecture, random_transformer  # noqa: E402

PARTS = ("query", "key", "value")


@pytest.mark.parametrize("seed", range(5))
def test_all_weights_are_there_and_queries_keys_and_values_side_by_side(seed):
    arch = random_architecture(np.random.default_rng(seed))
    transformer = random_transformer(arch, vocab_size=9, pre_norm=bool(seed % 2))
    weights = ordered_weights(transformer)
    state = transformer.state_dict()
    assert weights.keys() == state.keys()
    assert all(array.dtype == np.float32 for array in weights.values())
    assert all((weights[name] == state[name].numpy()).all() for name in weights)
    file = WeightFile("weights", weights)
    for prefix in {name.rpartition(".")[0] for name in weights if "attention" in name}:
        parts = PARTS if "self" in prefix else PARTS[1:]  # of the memory, keys and values alone
        for kind in ("weight", "bias"):
            rows = [state[f"{prefix}.{part}_{kind}"] for part in parts]
            assert file.place("+".join(f"{prefix}.{part}_{kind}" for part in parts)).shape[0] == sum(map(len, rows))


def test_half_precision_becomes_float32():
    arch = random_architecture(np.random.default_rng(0))
    transformer = random_transformer(arch, vocab_size=9).half()
    assert {array.dtype for array in ordered_weights(transformer).values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_no_finite_number_is_refused_and_named(value):
    transformer = random_transformer(random_architecture(np.random.default_rng(0)), vocab_size=9)
    with torch.no_grad():
        transformer.encoder_layers[0].experts.w2[0][-1, -1] = value
    with pytest.raises(AutoMoEError, match="NaN") as caught:
        ordered_weights(transformer)
    assert caught.value.key == "encoder_layers.0.experts.w2.0" and "earlier checkpoint" in caught.value.hint
