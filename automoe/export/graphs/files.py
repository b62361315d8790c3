"""`graph_files`: a model as ONNX graphs and the weights that they refer to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from automoe.bundle import PRECISIONS, SEAL, graph_file, graph_seal
from automoe.export.graphs.builder import GraphBuilder
from automoe.export.graphs.decoder import decoder_graph
from automoe.export.graphs.encoder import encoder_graph
from automoe.export.graphs.precision import Float32, Int8, Precision
from automoe.export.weight_file import Array
from automoe.nn import TransformerConfig
from automoe.space import Architecture


def graph_files(
    arch: Architecture,
    config: TransformerConfig,
    weights: Mapping[str, Array],
    precisions: Sequence[str] = PRECISIONS,
) -> dict[str, bytes]:
    """The files that ONNX Runtime needs for a model, by name.

    Args:
        arch: the model's architecture.
        config: vocabulary and norms.
        weights: of a standalone model, as `ordered_weights` gives them.
        precisions: those that are wanted.
    """
    files: dict[str, bytes] = {}
    for precision in (Float32(), Int8()):
        if precision.name in precisions:
            graphs = _graphs(arch, config, precision)
            file = precision.weight_file(weights, sorted({name for graph in graphs for name in graph.weights}))
            files[file.name] = file.to_bytes()
            for graph in graphs:
                seal = graph_seal(graph.name, file.layout, arch.to_dict(), config.to_dict())
                files[graph_file(graph.name, precision.name)] = graph.model(file, {SEAL: seal})
    return files


def _graphs(arch: Architecture, config: TransformerConfig, precision: Precision) -> list[GraphBuilder]:
    pre_norm, vocab_size = config.pre_norm, config.vocab_size
    return [
        encoder_graph(arch, pre_norm=pre_norm, precision=precision),
        decoder_graph(arch, vocab_size=vocab_size, pre_norm=pre_norm, precision=precision),
        decoder_graph(arch, vocab_size=vocab_size, pre_norm=pre_norm, precision=precision, shortlist=True),
    ]
