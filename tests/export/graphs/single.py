"""Runs a graph under construction, so that its parts can be tested one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from automoe.export.graphs.builder import GraphBuilder
from automoe.export.graphs.precision import Float32, Precision
from automoe.export.weight_file import Array


def run_graph(
    g: GraphBuilder,
    folder: Path,
    feeds: Mapping[str, Array],
    state: Mapping[str, Array] | None = None,
    precision: Precision | None = None,
) -> list[Array]:
    """The outputs of a graph whose weights are those of `state` that it asked for."""
    file = (precision or Float32()).weight_file(state or {}, g.weights)
    (folder / file.name).write_bytes(file.to_bytes())
    (folder / "graph.onnx").write_bytes(g.model(file))
    session = onnxruntime.InferenceSession(str(folder / "graph.onnx"), providers=["CPUExecutionProvider"])
    return session.run(None, dict(feeds))


def normal(rng: np.random.Generator, *shape: int) -> Array:
    """Standard normal numbers in float32."""
    return rng.normal(size=shape).astype(np.float32)
