"""Weights in 8 bits are within half a step of the weights, and a product is one product in either precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from automoe.export.graphs.builder import GraphBuilder
from automoe.export.graphs.precision import EMBEDDING, LARGEST, Float32, Int8, quantise
from tests.export.graphs.single import normal, run_graph

matrices = arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(-(2.0**127), 2.0**127, width=32)
    | st.floats(-(2.0**-120), 2.0**-120, width=32)
    | st.floats(-1, 1, width=32),
)


@given(matrices)
def test_a_weight_in_8_bits_is_within_half_a_scale(weight_OI):
    quantised_OI, scale_O = quantise(weight_OI)
    assert quantised_OI.dtype == np.int8 and scale_O.dtype == np.float32
    assert np.isfinite(scale_O).all() and (scale_O > 0).all() and np.abs(quantised_OI.astype(int)).max() <= LARGEST
    back_OI = quantised_OI.astype(np.float64) * scale_O.astype(np.float64)[:, None]
    error_OI = np.abs(back_OI - weight_OI.astype(np.float64))
    assert (error_OI <= scale_O.astype(np.float64)[:, None] * 0.50002).all()  # and what float32 rounds off


@given(matrices)
def test_the_largest_weight_of_a_row_keeps_its_value(weight_OI):
    quantised_OI, scale_O = quantise(weight_OI)
    largest_O = np.abs(weight_OI.astype(np.float64)).max(axis=1)
    normal_O = largest_O > 1e-35
    found_O = (np.abs(quantised_OI.astype(np.float64)) * scale_O.astype(np.float64)[:, None]).max(axis=1)
    np.testing.assert_allclose(found_O[normal_O], largest_O[normal_O], rtol=1e-5)


@given(matrices, st.sampled_from([1.0, -1.0]))
def test_weights_use_the_whole_range(weight_OI, largest):
    rest_OI = np.clip(weight_OI, -1, 1)
    rest_OI[:, 0] = largest
    quantised_OI, _ = quantise(rest_OI)
    assert (quantised_OI[:, 0] == largest * LARGEST).all()


def test_two_products_of_8_bits_fit_into_16_and_with_larger_weights_they_would_not():
    assert 2 * 255 * LARGEST < 2**15 <= 2 * 255 * (LARGEST + 1)


def test_a_row_of_zeros_stays_zero_and_its_neighbours_keep_their_scale():
    quantised_OI, scale_O = quantise(np.array([[0, 0], [2, -1]], dtype=np.float32))
    assert quantised_OI.tolist() == [[0, 0], [LARGEST, -LARGEST // 2]]
    assert scale_O[1] == np.float32(2) / np.float32(LARGEST)
    assert scale_O[0] > 0


def state_of(rng):
    state = {f"{name}_weight": normal(rng, rows, 8) for name, rows in (("a", 5), ("b", 3))}
    return state | {f"{name}_bias": normal(rng, rows) for name, rows in (("a", 5), ("b", 3))}


@pytest.mark.parametrize(("precision", "tolerance"), [(Float32(), 1e-5), (Int8(), 0.2)], ids=["float32", "int8"])
@pytest.mark.parametrize("relu", [False, True])
def test_neighbours_make_one_product_with_the_columns_of_both(tmp_path, precision, tolerance, relu):
    rng = np.random.default_rng(0)
    state, x_TI = state_of(rng), normal(rng, 7, 8)
    g = GraphBuilder("linear")
    x = g.input("x_TI", np.float32, ("tokens", 8))
    y = precision.linear(g, x, ["a_weight", "b_weight"], ["a_bias", "b_bias"], relu=relu)
    g.output(y, "y_TO", np.float32, ("tokens", 8))
    found_TO = run_graph(g, tmp_path, {"x_TI": x_TI}, state, precision)[0]
    wanted_TO = np.concatenate([x_TI @ state[f"{n}_weight"].T + state[f"{n}_bias"] for n in "ab"], axis=1)
    wanted_TO = np.maximum(wanted_TO, 0) if relu else wanted_TO
    # In 8 bits: 8 products of numbers up to 3, each factor off by up to 3 / LARGEST / 2, at random.
    np.testing.assert_allclose(found_TO, wanted_TO, rtol=0, atol=tolerance)


@pytest.mark.parametrize("precision", [Float32(), Int8()], ids=["float32", "int8"])
@pytest.mark.parametrize("dim", [6, 4])
def test_the_table_that_embeds_is_the_output_layer_in_its_first_columns(tmp_path, precision, dim):
    rng = np.random.default_rng(0)
    table_VD, x_TD = normal(rng, 9, 6), normal(rng, 5, dim)
    g = GraphBuilder("table")
    token, x = g.input("token_T", np.int64, ("tokens",)), g.input("x_TD", np.float32, ("rows", dim))
    g.output(precision.embed(g, token), "row_TD", np.float32, ("tokens", 6))
    g.output(precision.output(g, x, dim, 6), "logits_TV", np.float32, ("rows", 9))
    token_T = np.array([8, 0, 3])
    row_TD, logits_TV = run_graph(g, tmp_path, {"token_T": token_T, "x_TD": x_TD}, {EMBEDDING: table_VD}, precision)
    exact = isinstance(precision, Float32)
    np.testing.assert_allclose(row_TD, table_VD[token_T], rtol=0, atol=0 if exact else 3 / LARGEST / 2)
    np.testing.assert_allclose(logits_TV, x_TD @ table_VD[:, :dim].T, rtol=0, atol=1e-5 if exact else 0.2)


def test_of_the_int8_file_only_what_is_multiplied_is_in_8_bits():
    rng = np.random.default_rng(0)
    state = state_of(rng) | {"router": normal(rng, 3, 8), "norm": normal(rng, 8), EMBEDDING: normal(rng, 9, 8)}
    g = GraphBuilder("linear")
    Int8().linear(g, g.input("x_TI", np.float32, ("tokens", 8)), ["a_weight", "b_weight"], ["a_bias", "b_bias"])
    Int8().output(g, "x_TI", 8, 8)
    for name in ("router", "norm"):
        g.weight(name)
    file = Int8().weight_file(state, g.weights)
    found = {name: (file.place(name).dtype.name, file.place(name).shape) for name in file}
    assert found == {
        "a_bias+b_bias": ("float32", (8,)),
        "a_weight+b_weight": ("int8", (8, 8)),
        "a_weight+b_weight.scale": ("float32", (8,)),
        "embedding": ("int8", (9, 8)),
        "embedding.scale": ("float32", (9,)),
        "norm": ("float32", (8,)),
        "router": ("float32", (3, 8)),
    }
