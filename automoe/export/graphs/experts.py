"""Feed-forward layers of one or more experts as ordinary nodes, one branch an expert.

Tokens are sorted by expert and split, so that each expert multiplies its own tokens and no others, whatever its
width; an expert without tokens costs next to nothing.

Shape suffixes: T tokens, D model dim, E experts, K experts per token, P = T * K pairs of token and choice.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from automoe.export.graphs.builder import GraphBuilder
from automoe.export.graphs.precision import Precision
from automoe.space import EncoderLayerArch


def expert_layer(g: GraphBuilder, precision: Precision, prefix: str, layer: EncoderLayerArch, x_TD: str) -> str:
    """The experts of a layer (Fedus et al. 2022, section 2.1); a single one is a plain dense layer.

    Args:
        g: the graph.
        precision: how products are written; the router is in float32 in any.
        prefix: name of the layer's experts.
        layer: its sizes.
        x_TD: tokens.

    Returns:
        `y_TD`.
    """
    if layer.num_experts == 1:
        return _expert(g, precision, prefix, 0, x_TD)
    top_1 = layer.top_k == 1
    expert_P, gate_TK = _route(g, prefix, layer, x_TD)
    pair_P, count_E = _sort_by_expert(g, expert_P, layer.num_experts)
    token_P = pair_P if top_1 else g.node("Div", pair_P, g.constant(layer.top_k))
    chunks = g.nodes("Split", g.node("Gather", x_TD, token_P), count_E, outputs=layer.num_experts, axis=0)
    y_PD = g.node("Concat", *(_expert(g, precision, prefix, e, x) for e, x in enumerate(chunks)), axis=0)
    token_P1 = g.node("Unsqueeze", token_P, g.constant([1]))
    if top_1:  # every token is written once: whatever was there is overwritten
        return g.node("Mul", g.node("ScatterND", x_TD, token_P1, y_PD), gate_TK)
    gate_P1 = g.node("Gather", g.node("Reshape", gate_TK, g.constant([-1, 1])), pair_P)
    zero_TD = g.node("ConstantOfShape", g.node("Shape", x_TD))
    return g.node("ScatterND", zero_TD, token_P1, g.node("Mul", y_PD, gate_P1), reduction="add")


def _route(g: GraphBuilder, prefix: str, layer: EncoderLayerArch, x_TD: str) -> tuple[str, str]:
    """Chosen experts, `expert_P`, and their gates, `gate_TK`.

    With top-1 the gate is the softmax value itself; with more the chosen values are renormalised to sum 1.
    """
    logits_TE = g.node("Gemm", x_TD, g.weight(f"{prefix}.router_weight"), transB=1)
    probs_TE = g.node("Softmax", logits_TE, axis=1)
    if layer.top_k == 1:  # two scans cost less than a heap
        return g.node("ArgMax", probs_TE, axis=1, keepdims=0), g.node("ReduceMax", probs_TE, g.constant([1]))
    gate_TK, expert_TK = g.nodes("TopK", probs_TE, g.constant([layer.top_k]), outputs=2, axis=1)
    gate_TK = g.node("Div", gate_TK, g.node("ReduceSum", gate_TK, g.constant([1])))
    return g.node("Reshape", expert_TK, g.constant([-1])), gate_TK


def _sort_by_expert(g: GraphBuilder, expert_P: str, num_experts: int) -> tuple[str, str]:
    """Pairs of token and choice in the order of experts, `pair_P`, and how many each expert has, `count_E`."""
    chosen_EP = g.node("Equal", g.constant(np.arange(num_experts)[:, None]), expert_P)
    count_E = g.node("ReduceSum", g.node("Cast", chosen_EP, to=TensorProto.INT64), g.constant([1]), keepdims=0)
    expert_and_pair_2P = g.node("NonZero", chosen_EP)  # row by row: expert by expert
    return g.node("Gather", expert_and_pair_2P, g.constant(1)), count_E


def _expert(g: GraphBuilder, precision: Precision, prefix: str, index: int, x_TD: str) -> str:
    hidden_TF = precision.linear(g, x_TD, [f"{prefix}.w1.{index}"], [f"{prefix}.b1.{index}"], relu=True)
    return precision.linear(g, hidden_TF, [f"{prefix}.w2.{index}"], [f"{prefix}.b2.{index}"])
