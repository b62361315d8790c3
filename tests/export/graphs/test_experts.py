"""The expert nodes compute what a loop over tokens computes, whatever the widths and wherever the tokens go."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from automoe.export.graphs.builder import GraphBuilder  # noqa: E402
from automoe.export.graphs.experts import expert_layer  # noqa: E402
from automoe.export.graphs.precision import Float32, Int8  # noqa: E402
from automoe.nn import Expert, dispatch_naive, route  # noqa: E402
from tests.architectures import encoder_layer  # noqa: E402
from tests.export.graphs.single import normal, run_graph  # noqa: E402

DIM = 12


def random_state(rng, widths):
    state = {"router_weight": normal(rng, len(widths), DIM)}
    state["router_weight"] /= np.linalg.norm(state["router_weight"], axis=1, keepdims=True)  # all as likely
    for e, width in enumerate(widths):
        state |= {f"w1.{e}": normal(rng, width, DIM) * DIM**-0.5, f"b1.{e}": normal(rng, width)}
        state |= {f"w2.{e}": normal(rng, DIM, width) * width**-0.5, f"b2.{e}": normal(rng, DIM)}
    return state


def graph_output(folder, state, widths, top_k, x_TD, precision):
    g = GraphBuilder("layer")
    x = g.input("x_TD", np.float32, ("tokens", DIM))
    layer = encoder_layer(*widths, top_k=top_k)
    g.output(expert_layer(g, precision, "layer", layer, x), "y_TD", np.float32, ("tokens", DIM))
    named = {f"layer.{name}": array for name, array in state.items()}
    return run_graph(g, folder, {"x_TD": x_TD}, named, precision)[0]


def naive_output(state, widths, top_k, x_TD):
    """The layer's output, and how many tokens each expert has."""
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    routing = route(torch.from_numpy(x_TD), tensors["router_weight"], top_k)
    experts = [Expert(*(tensors[f"{name}.{e}"] for name in ("w1", "b1", "w2", "b2"))) for e in range(len(widths))]
    return dispatch_naive(torch.from_numpy(x_TD), routing, experts).numpy(), routing.loads_E().numpy()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("tokens", [1, 40])
def test_nodes_equal_a_loop_over_tokens(tmp_path, seed, tokens):
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, 20, size=rng.integers(2, 9)).tolist()
    top_k = 1 if seed % 2 else int(rng.integers(2, len(widths) + 1))
    state, x_TD = random_state(rng, widths), normal(rng, tokens, DIM)
    wanted_TD, _ = naive_output(state, widths, top_k, x_TD)
    found_TD = graph_output(tmp_path, state, widths, top_k, x_TD, Float32())
    np.testing.assert_allclose(found_TD, wanted_TD, rtol=0, atol=1e-5)


@pytest.mark.parametrize("top_k", [1, 3])
def test_each_of_64_experts_is_reached_and_is_the_right_one(tmp_path, top_k):
    rng = np.random.default_rng(0)
    widths = rng.integers(1, 20, size=64).tolist()
    state, x_TD = random_state(rng, widths), normal(rng, 1200, DIM)
    wanted_TD, load_E = naive_output(state, widths, top_k, x_TD)
    assert load_E.min() > 0, "the input must reach every expert"
    found_TD = graph_output(tmp_path, state, widths, top_k, x_TD, Float32())
    np.testing.assert_allclose(found_TD, wanted_TD, rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", [Float32(), Int8()], ids=["float32", "int8"])
def test_an_expert_without_tokens_changes_nothing(tmp_path, precision):
    rng = np.random.default_rng(0)
    widths = [7, 5, 9, 16]
    state, x_TD = random_state(rng, widths), normal(rng, 3, DIM)
    _, load_E = naive_output(state, widths, 1, x_TD)
    unused = int(load_E.argmin())
    assert load_E[unused] == 0
    other = state | {f"w1.{unused}": state[f"w1.{unused}"] * 1e6, f"b2.{unused}": state[f"b2.{unused}"] * 1e6}
    first_TD, second_TD = (graph_output(tmp_path, s, widths, 1, x_TD, precision) for s in (state, other))
    np.testing.assert_array_equal(first_TD, second_TD)


def test_in_8_bits_tokens_go_to_the_same_experts_and_come_back_nearly_the_same(tmp_path):
    rng = np.random.default_rng(0)
    widths = [7, 5, 9, 16]
    state, x_TD = random_state(rng, widths), normal(rng, 60, DIM)
    wanted_TD, load_E = naive_output(state, widths, 1, x_TD)
    assert load_E.min() > 0
    found_TD = graph_output(tmp_path, state, widths, 1, x_TD, Int8())
    # A wrong expert is off by the size of an output; rounding to 8 bits twice by a few hundredths of it.
    assert np.abs(found_TD - wanted_TD).max() < 0.1 * np.abs(wanted_TD).max()
    assert np.abs(found_TD - wanted_TD).max() > 1e-6, "this was not in 8 bits"
