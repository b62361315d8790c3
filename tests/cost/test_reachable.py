"""Reachable parameters against the tensors of a real model."""

import numpy as np
import pytest

from automoe.cost import costs
from automoe.cost.reachable import reachable_params
from automoe.nn import Transformer, TransformerConfig
from automoe.space import find_architecture, read_architecture

ARCH = read_architecture(find_architecture("tiny"))
SIZES = {"vocab_size": 50, "pre_norm": True}
EXPERT_LAYERS = {(side, index): layer for side, index, layer in ARCH.layers() if layer.num_experts > 1}


def test_all_parameters_are_reachable_when_every_expert_has_tokens():
    loads = {place: [1] * layer.num_experts for place, layer in EXPERT_LAYERS.items()}
    assert reachable_params(ARCH, loads, **SIZES) == costs(ARCH, **SIZES).params_total


@pytest.mark.parametrize("seed", range(4))
def test_an_expert_without_tokens_takes_its_tensors_out_of_the_count(seed):
    rng = np.random.default_rng(seed)
    loads = {place: rng.integers(0, 2, layer.num_experts).tolist() for place, layer in EXPERT_LAYERS.items()}
    unreached = 0
    for name, tensor in Transformer(ARCH, TransformerConfig(**SIZES)).named_parameters():
        if ".experts." in name and not name.endswith("router_weight"):
            side, index, _, _, expert = name.split(".")
            place = (side.removesuffix("_layers"), int(index))
            unreached += tensor.numel() if place in loads and loads[place][int(expert)] == 0 else 0
    assert reachable_params(ARCH, loads, **SIZES) == costs(ARCH, **SIZES).params_total - unreached
    assert any(0 in counts for counts in loads.values()) == (unreached > 0)


def test_loads_of_another_architecture_are_refused():
    with pytest.raises(ValueError, match="experts"):
        reachable_params(ARCH, {}, **SIZES)
