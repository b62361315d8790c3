"""One step of the decoder as a graph: caches that follow the hypotheses, one token more, the best continuations.

Shape suffixes: B sentences, N rows (hypotheses; those of a sentence stand together), L tokens so far, S memory
length, D model dim, V vocabulary, A queries/keys/values over all heads, H heads, C channels of a head, K candidates
per row.
"""

from __future__ import annotations

import numpy as np

from automoe.decoding.symbols import EOS
from automoe.export.graphs.builder import GraphBuilder
from automoe.export.graphs.candidates import best_candidates, shortlist_scores
from automoe.export.graphs.experts import expert_layer
from automoe.export.graphs.layers import KeyValue, Residual, attend, attend_to_past, embed, project, project_back
from automoe.export.graphs.precision import Precision
from automoe.space import Architecture, DecoderLayerArch


def decoder_graph(
    arch: Architecture, *, vocab_size: int, pre_norm: bool, precision: Precision, shortlist: bool = False
) -> GraphBuilder:
    """The graph `decoder`, or `decoder_shortlist`, which scores the tokens of a shortlist and no others.

    Inputs: `token_N` (int64, the newest token of each row), `order_N` (int64, the row of the step before that each
    row continues), `position_1D` (float32, the sinusoid of the new position), `num_candidates` (int64 [1]), for each
    layer i `key_i`, `value_i` and the `mask_n` of the encoder, and `past_key_i` and `past_value_i` ([rows before, H,
    L, C]; L = 0 at first). With a shortlist also its rows of the embedding table, see `Precision.shortlist_output`;
    `end` (int64 [1], where the end symbol stands among them); and what `shortlist_scores` needs.

    Outputs: `score_NK` (log probabilities, best first), `token_NK` (int64; with a shortlist their places in it),
    `end_N1` (log probability of the end symbol), and `next_key_i` and `next_value_i` ([N, H, L + 1, C]).
    """
    g = GraphBuilder("decoder_shortlist" if shortlist else "decoder")
    dim, table_dim = arch.decoder.dim, max(arch.encoder.dim, arch.decoder.dim)
    token_N = g.input("token_N", np.int64, ("rows",))
    order_N = g.input("order_N", np.int64, ("rows",))
    position_1D = g.input("position_1D", np.float32, (1, dim))
    memories = [_memory_inputs(g, index, layer) for index, layer in enumerate(arch.decoder.layers)]
    masks = {
        count: g.input(f"mask_{count}", np.int32, ("sentences", f"memory_{count}"))
        for count in sorted({layer.cross_layers for layer in arch.decoder.layers})
    }
    num_sentences = g.node("Shape", memories[0].key_BHSC, end=1)
    per_sentence = {
        width: g.node("Concat", num_sentences, g.constant([-1, width]), axis=0)
        for width in sorted({layer.cross_qkv_dim for layer in arch.decoder.layers})
    }

    stream = Residual(g, pre_norm, embed(g, precision, token_N, position_1D, dim, table_dim))
    for index, layer in enumerate(arch.decoder.layers):
        prefix = f"decoder_layers.{index}"
        attention, norm = f"{prefix}.self_attention", f"{prefix}.self_norm"
        qkv_NA = project(g, precision, attention, stream.read(norm), ("query", "key", "value"))
        past, channels = _past_inputs(g, index, layer, order_N), layer.qkv_dim // layer.heads
        y_NA, present = attend_to_past(g, qkv_NA, past, layer.heads, channels)
        _present_outputs(g, index, layer, present)
        stream.write(project_back(g, precision, attention, y_NA), norm)

        attention, norm = f"{prefix}.cross_attention", f"{prefix}.cross_norm"
        query_NA = project(g, precision, attention, stream.read(norm), ("query",))
        query_BLA = g.node("Reshape", query_NA, per_sentence[layer.cross_qkv_dim])
        y_NA = attend(g, query_BLA, memories[index], masks[layer.cross_layers], layer.cross_heads)
        stream.write(project_back(g, precision, attention, y_NA), norm)

        norm = f"{prefix}.expert_norm"
        stream.write(expert_layer(g, precision, f"{prefix}.experts", layer, stream.read(norm)), norm)
    x_ND = stream.final("decoder_norm")
    if shortlist:
        score_NV, end = shortlist_scores(g, precision.shortlist_output(g, x_ND, dim)), g.input("end", np.int64, (1,))
    else:
        logits_NV = precision.output(g, x_ND, dim, table_dim)
        score_NV, end = g.node("LogSoftmax", logits_NV, axis=-1), g.constant([EOS])
    num_candidates = g.input("num_candidates", np.int64, (1,))
    score_NK, token_NK = best_candidates(g, score_NV, num_candidates, None if shortlist else vocab_size)
    g.output(score_NK, "score_NK", np.float32, ("rows", "candidates"))
    g.output(token_NK, "token_NK", np.int64, ("rows", "candidates"))
    g.output(g.node("Gather", score_NV, end, axis=1), "end_N1", np.float32, ("rows", 1))
    return g


def _memory_inputs(g: GraphBuilder, index: int, layer: DecoderLayerArch) -> KeyValue:
    heads = layer.cross_heads
    shape = ("sentences", heads, f"memory_{layer.cross_layers}", layer.cross_qkv_dim // heads)
    return KeyValue(g.input(f"key_{index}", np.float32, shape), g.input(f"value_{index}", np.float32, shape))


def _past_inputs(g: GraphBuilder, index: int, layer: DecoderLayerArch, order_N: str) -> KeyValue:
    """The cache, with the rows that are continued."""
    shape = ("rows_before", layer.heads, "past", layer.qkv_dim // layer.heads)
    names = (f"past_key_{index}", f"past_value_{index}")
    key, value = (g.node("Gather", g.input(name, np.float32, shape), order_N) for name in names)
    return KeyValue(key, value)


def _present_outputs(g: GraphBuilder, index: int, layer: DecoderLayerArch, present: KeyValue) -> None:
    shape = ("rows", layer.heads, "present", layer.qkv_dim // layer.heads)
    g.output(present.key_BHSC, f"next_key_{index}", np.float32, shape)
    g.output(present.value_BHSC, f"next_value_{index}", np.float32, shape)
