"""A graph names its weights' places in the file; small constants are within it, once."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from automoe.export.graphs.builder import CONTRIB, GraphBuilder  # noqa: E402
from automoe.export.weight_file import WeightFile  # noqa: E402
from tests.export.graphs.single import normal, run_graph  # noqa: E402


def test_equal_constants_are_stored_once_and_different_ones_apart():
    g = GraphBuilder("constants")
    assert g.constant([1, 2]) == g.constant((1, 2)) == g.constant(np.array([1, 2]))
    others = [g.constant([[1, 2]]), g.constant([1, 2], np.int32), g.constant([2, 1]), g.constant(0.0, np.float32)]
    assert len({g.constant([1, 2]), *others, g.constant(-0.0, np.float32), g.constant(0)}) == 7


def test_weights_stay_in_their_file_and_are_found_there():
    rng = np.random.default_rng(0)
    state = {"a": normal(rng, 2, 3), "b": normal(rng, 4, 3), "c": normal(rng, 5)}
    file = WeightFile("weights.safetensors", state)
    g = GraphBuilder("weights")
    g.output(g.node("MatMul", g.input("x", np.float32, (1, 6)), g.weight("a+b")), "y", np.float32, (1, 3))
    g.weight("c")
    g.weight("c")
    assert g.weights == ("a+b", "c")
    model = onnx.load_from_string(g.model(file))
    content = file.to_bytes()
    for tensor, wanted in zip(
        model.graph.initializer, (np.concatenate([state["a"], state["b"]]), state["c"]), strict=True
    ):
        place = {entry.key: entry.value for entry in tensor.external_data}
        start = int(place["offset"])
        found = np.frombuffer(content[start : start + int(place["length"])], np.float32).reshape(tensor.dims)
        assert place["location"] == "weights.safetensors" and not tensor.raw_data
        np.testing.assert_array_equal(found, wanted)


def test_operators_of_onnx_runtime_are_told_from_those_of_onnx(tmp_path):
    g = GraphBuilder("operators")
    x = g.input("x", np.float32, (2, 2))
    y = g.node("FusedMatMul", g.node("Relu", x), x, alpha=0.5)
    g.output(y, "y", np.float32, (2, 2))
    model = onnx.load_from_string(g.model(WeightFile("none", {})))
    domains = {node.op_type: node.domain for node in model.graph.node}
    assert (domains["Relu"], domains["FusedMatMul"]) == ("", CONTRIB)
    x_22 = np.array([[1, -2], [3, 4]], dtype=np.float32)
    np.testing.assert_array_equal(run_graph(g, tmp_path, {"x": x_22})[0], 0.5 * np.maximum(x_22, 0) @ x_22)


def test_outputs_that_are_not_wanted_have_no_name():
    g = GraphBuilder("skipped")
    x, count = g.input("x", np.float32, ("n",)), g.constant([1])
    first, second = g.nodes("TopK", x, count, outputs=2, skip=(0,))
    assert first == "" and second
