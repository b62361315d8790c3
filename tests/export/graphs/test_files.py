"""The files of a model: the same bytes in any process, every weight once, nothing traced."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from automoe.bundle import (  # noqa: E402
    GRAPHS,
    INT8_WEIGHTS_FILE,
    PRECISIONS,
    WEIGHTS_FILE,
    graph_file,
    weights_file,
)
from automoe.export.graphs.files import graph_files  # noqa: E402
from automoe.export.weights import ordered_weights  # noqa: E402
from tests.export.random_models import LARGEST, random_architecture, random_transformer  # noqa: E402


def files_of(arch, precisions=PRECISIONS, vocab_size=300):
    transformer = random_transformer(arch, vocab_size=vocab_size)
    return graph_files(arch, transformer.config, ordered_weights(transformer), precisions)


def digests():
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files_of(LARGEST).items())}


def test_the_bytes_are_the_same_in_another_process():
    program = "from tests.export.graphs.test_files import digests; print(digests())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(digests())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_precision_has_its_graphs_and_one_weight_file(precision):
    wanted = {weights_file(precision), *(graph_file(graph, precision) for graph in GRAPHS)}
    assert files_of(LARGEST, [precision]).keys() == wanted
    assert set(files_of(LARGEST)) > wanted


def test_no_weight_is_in_a_graph_and_the_tied_table_is_once_in_each_file():
    small, large = files_of(LARGEST, vocab_size=300), files_of(LARGEST, vocab_size=10_300)
    table, digits = 10_000 * 24, 2000  # places in a file have more digits
    for name in small:
        grown = len(large[name]) - len(small[name])
        if name == WEIGHTS_FILE:
            assert 4 * table <= grown < 4 * table + digits
        elif name == INT8_WEIGHTS_FILE:
            assert table + 4 * 10_000 <= grown < table + 4 * 10_000 + digits  # and the scale of each word
        else:
            assert grown < digits and len(small[name]) < 200_000


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("precision", PRECISIONS)
def test_graphs_use_every_weight_and_each_expert_has_its_own_branch(precision, seed):
    arch = random_architecture(np.random.default_rng(seed))
    files = files_of(arch, [precision])
    models = {graph: onnx.load_from_string(files[graph_file(graph, precision)]) for graph in GRAPHS}
    used = {
        part
        for graph in ("encoder", "decoder")
        for tensor in models[graph].graph.initializer
        if tensor.external_data
        for part in tensor.name.removesuffix(".scale").split("+")
    }
    assert used == set(ordered_weights(random_transformer(arch, vocab_size=300)))
    splits = {
        len(node.output)
        for graph in ("encoder", "decoder")
        for node in models[graph].graph.node
        if node.op_type == "Split" and len(node.input) == 2
    }
    layers = (*arch.encoder.layers, *arch.decoder.layers)
    assert splits == {layer.num_experts for layer in layers if layer.num_experts > 1}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_onnx_itself_finds_nothing_wrong_with_the_graphs(tmp_path, precision):
    for name, content in files_of(LARGEST, [precision]).items():
        (tmp_path / name).write_bytes(content)
    for graph in GRAPHS:
        onnx.checker.check_model(str(tmp_path / graph_file(graph, precision)))
