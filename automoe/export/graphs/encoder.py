"""The encoder as a graph, up to the keys and values that the decoder's layers attend to.

Paddings go through all layers and nobody attends to them. In int8 they count for the range of the activations.

Shape suffixes: B sentences, S source length, T = B * S tokens, D model dim, A queries/keys/values over all heads,
H heads, C channels of a head.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from automoe.decoding.symbols import PAD
from automoe.export.graphs.builder import GraphBuilder
from automoe.export.graphs.experts import expert_layer
from automoe.export.graphs.layers import KeyValue, Residual, attend, embed, project, project_back, split_heads
from automoe.export.graphs.precision import Precision
from automoe.space import Architecture


def encoder_graph(arch: Architecture, *, pre_norm: bool, precision: Precision) -> GraphBuilder:
    """The graph `encoder`.

    Inputs: `source_BS` (int64, padded on the right) and `position_SD` (float32, the sinusoids of S positions in the
    encoder's dimension). Outputs: for each decoder layer i `key_i` and `value_i` ([B, H, S * n, C], where n is the
    number of encoder layers that it sees), and for each n that occurs `mask_n` (int32 [B, S * n], 0 at paddings).
    """
    g = GraphBuilder("encoder")
    encoder = arch.encoder
    source_BS = g.input("source_BS", np.int64, ("sentences", "length"))
    position_SD = g.input("position_SD", np.float32, ("length", encoder.dim))
    mask_BS = g.node("Cast", g.node("Not", g.node("Equal", source_BS, g.constant(PAD))), to=TensorProto.INT32)
    shape = g.node("Concat", g.node("Shape", source_BS), g.constant([-1]), axis=0)

    x_BSD = embed(g, precision, source_BS, position_SD, encoder.dim, max(encoder.dim, arch.decoder.dim))
    stream = Residual(g, pre_norm, g.node("Flatten", x_BSD, axis=2))
    states_TD: list[str] = []
    for index, layer in enumerate(encoder.layers):
        prefix = f"encoder_layers.{index}"
        attention, norm = f"{prefix}.self_attention", f"{prefix}.self_norm"
        qkv_TA = project(g, precision, attention, stream.read(norm), ("query", "key", "value"))
        qkv_BSA = g.node("Reshape", qkv_TA, shape)
        query, key, value = g.nodes("Split", qkv_BSA, outputs=3, axis=2, num_outputs=3)
        y_TA = attend(g, query, KeyValue(key, value), mask_BS, layer.heads)
        stream.write(project_back(g, precision, attention, y_TA), norm)
        norm = f"{prefix}.expert_norm"
        stream.write(expert_layer(g, precision, f"{prefix}.experts", layer, stream.read(norm)), norm)
        if index >= len(encoder.layers) - max(decoder_layer.cross_layers for decoder_layer in arch.decoder.layers):
            states_TD.append(stream.final("encoder_norm"))
    _project_memories(g, precision, arch, [g.node("Reshape", x_TD, shape) for x_TD in states_TD])
    for count in sorted({layer.cross_layers for layer in arch.decoder.layers}):
        mask = mask_BS if count == 1 else g.node("Concat", *[mask_BS] * count, axis=1)
        g.output(mask, f"mask_{count}", np.int32, ("sentences", f"memory_{count}"))
    return g


def _project_memories(g: GraphBuilder, precision: Precision, arch: Architecture, states_BSD: Sequence[str]) -> None:
    """Keys and values of the last encoder layers for the cross-attention of every decoder layer."""
    for index, layer in enumerate(arch.decoder.layers):
        count, heads, width = layer.cross_layers, layer.cross_heads, layer.cross_qkv_dim
        states = states_BSD[-count:]
        memory_BSD = states[0] if count == 1 else g.node("Concat", *states, axis=1)
        memory_TD = g.node("Flatten", memory_BSD, axis=2)
        pair_TA = project(g, precision, f"decoder_layers.{index}.cross_attention", memory_TD, ("key", "value"))
        shape = g.node("Concat", g.node("Shape", memory_BSD, end=2), g.constant([-1]), axis=0)
        pair_BSA = g.node("Reshape", pair_TA, shape)
        pair = g.nodes("Split", pair_BSA, outputs=2, axis=2, num_outputs=2)
        for name, x_BSA in zip(("key", "value"), pair, strict=True):
            x_BHSC = split_heads(g, x_BSA, heads, width // heads)
            g.output(x_BHSC, f"{name}_{index}", np.float32, ("sentences", heads, f"memory_{count}", width // heads))
