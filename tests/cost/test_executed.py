"""Executed FLOPs from loads, beside the value at uniform load."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.cost import costs
from automoe.cost.executed import executed_expert_flops, executed_flops, loads_from_json, uniform_expert_flops
from automoe.errors import ConfigError
from automoe.space import find_architecture, read_architecture
from tests.architectures import DENSE, MAXIMUM, random_slice

seeds = st.integers(0, 2**32 - 1)
lengths = st.fixed_dictionaries({"source_tokens": st.integers(1, 40), "target_tokens": st.integers(1, 40)})


def expert_layers(arch):
    return {(side, index): layer for side, index, layer in arch.layers() if layer.num_experts > 1}


def random_loads(arch, rng):
    return {place: rng.dirichlet(np.ones(layer.num_experts)).tolist() for place, layer in expert_layers(arch).items()}


def analytic(arch, tokens):
    return costs(arch, vocab_size=9, pre_norm=False, **tokens).flops


@given(seeds, lengths, st.sampled_from([1, 7, 1 / 3, 0.1]))
def test_at_uniform_load_executed_flops_are_the_analytic_ones_however_the_load_is_written(seed, tokens, part):
    arch, _ = random_slice(MAXIMUM, np.random.default_rng(seed))
    loads = {place: [part] * layer.num_experts for place, layer in expert_layers(arch).items()}
    assert executed_flops(arch, loads, **tokens) == analytic(arch, tokens)
    assert executed_expert_flops(arch, loads, **tokens) == uniform_expert_flops(arch, **tokens)


@given(seeds, lengths)
def test_executed_flops_are_the_analytic_ones_with_the_experts_part_replaced(seed, tokens):
    rng = np.random.default_rng(seed)
    arch, _ = random_slice(MAXIMUM, rng)
    loads = random_loads(arch, rng)
    more = executed_expert_flops(arch, loads, **tokens) - uniform_expert_flops(arch, **tokens)
    assert executed_flops(arch, loads, **tokens) == analytic(arch, tokens) + more


@given(seeds)
def test_all_tokens_to_one_expert_cost_what_a_layer_of_that_expert_alone_costs(seed):
    rng = np.random.default_rng(seed)
    arch, _ = random_slice(MAXIMUM, rng)
    dims = {"encoder": arch.encoder.dim, "decoder": arch.decoder.dim}
    chosen = {place: int(rng.integers(layer.num_experts)) for place, layer in expert_layers(arch).items()}
    loads = {p: np.eye(layer.num_experts)[chosen[p]].tolist() for p, layer in expert_layers(arch).items()}
    expected = sum(
        4 * 30 * dims[place[0]] * layer.top_k * layer.expert_widths[chosen[place]]
        for place, layer in expert_layers(arch).items()
    )
    assert executed_expert_flops(arch, loads) == expected


@given(seeds, st.sampled_from([3, 250, 0.125]))
def test_only_the_proportions_of_loads_count(seed, factor):
    rng = np.random.default_rng(seed)
    arch, _ = random_slice(MAXIMUM, rng)
    loads = {p: rng.integers(1, 99, layer.num_experts).tolist() for p, layer in expert_layers(arch).items()}
    scaled = {place: [factor * part for part in load] for place, load in loads.items()}
    assert executed_flops(arch, scaled) == executed_flops(arch, loads)


def test_a_dense_model_executes_what_it_costs():
    assert executed_flops(DENSE, {}) == costs(DENSE, vocab_size=9, pre_norm=True).flops
    assert executed_expert_flops(DENSE, {}) == uniform_expert_flops(DENSE) == 0


def test_loads_are_read_as_a_measured_table_holds_them():
    arch = read_architecture(find_architecture("tiny"))
    loads = random_loads(arch, np.random.default_rng(0))
    assert loads and loads_from_json({f"{side} {index}": load for (side, index), load in loads.items()}) == loads


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda load: load[1:], "has 2 experts"),
        (lambda load: [0.0] * len(load), "no shares"),
        (lambda load: [-0.5, 1.5], "no shares"),
        (lambda load: [float("nan"), 1.0], "no shares"),
        (lambda load: [float("inf"), 1.0], "no shares"),
    ],
)
def test_loads_that_are_none_are_refused(change, message):
    loads = random_loads(MAXIMUM, np.random.default_rng(0))
    loads["decoder", 0] = change(loads["decoder", 0])
    with pytest.raises(ValueError, match=message):
        executed_flops(MAXIMUM, loads)
    del loads["decoder", 0]
    with pytest.raises(ValueError, match="decoder layer 0 has 2 experts, its loads are None"):
        executed_flops(MAXIMUM, loads)


def test_a_pass_of_no_tokens_is_refused():
    with pytest.raises(ConfigError, match="source_tokens"):
        executed_flops(DENSE, {}, source_tokens=0)
