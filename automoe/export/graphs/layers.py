"""The parts of a layer as nodes: embeddings, norms with residual sums, attention.

Shape suffixes: B sentences, L query length, S memory length, T tokens or rows (those of B sentences, one after the
other), D model dim, A queries/keys/values over all heads, H heads, C channels of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from automoe.export.graphs.builder import GraphBuilder
from automoe.export.graphs.precision import Precision

LAYER_NORM_EPSILON = 1e-5
"""PyTorch's."""


class KeyValue(NamedTuple):
    """Keys and values, split into heads."""

    key_BHSC: str
    value_BHSC: str


class Residual:
    """The stream through a side of the model: a sub-layer reads from it, and what it writes is added.

    Adding is put off until the next norm, with which it is one node.

    Args:
        g: the graph.
        pre_norm: whether norms stand before sub-layers, or after the sums.
        x_TD: the embeddings.
    """

    def __init__(self, g: GraphBuilder, pre_norm: bool, x_TD: str) -> None:
        self._g, self._pre_norm, self._x_TD = g, pre_norm, x_TD
        self._added_TD: str | None = None

    def read(self, norm: str) -> str:
        """The input of the sub-layer whose norm this is."""
        return self.normalised(norm) if self._pre_norm else self._x_TD

    def write(self, y_TD: str, norm: str) -> None:
        """Adds the output of the sub-layer whose norm this is."""
        self._added_TD = y_TD
        if not self._pre_norm:
            self._x_TD = self.normalised(norm)

    def normalised(self, norm: str) -> str:
        """The stream through a norm."""
        if self._added_TD is not None:
            self._x_TD, self._added_TD = self._g.node("Add", self._x_TD, self._added_TD), None
        weights = (self._g.weight(f"{norm}.weight"), self._g.weight(f"{norm}.bias"))
        return self._g.node("LayerNormalization", self._x_TD, *weights, axis=-1, epsilon=LAYER_NORM_EPSILON)

    def final(self, norm: str) -> str:
        """What the side gives on: the stream, with pre-norm through the side's last norm."""
        return self.normalised(norm) if self._pre_norm else self._x_TD


def project(g: GraphBuilder, precision: Precision, prefix: str, x_TD: str, parts: Sequence[str]) -> str:
    """Queries, keys or values of tokens, one beside the other.

    Args:
        g: the graph.
        precision: how products are written.
        prefix: the attention.
        x_TD: the tokens.
        parts: of "query", "key", "value": neighbours in this order, so that one product makes all.
    """
    names = [f"{prefix}.{part}" for part in parts]
    return precision.linear(g, x_TD, [f"{name}_weight" for name in names], [f"{name}_bias" for name in names])


def project_back(g: GraphBuilder, precision: Precision, prefix: str, y_TA: str) -> str:
    """The output projection of an attention."""
    return precision.linear(g, y_TA, [f"{prefix}.output_weight"], [f"{prefix}.output_bias"])


def attend(g: GraphBuilder, query_BLA: str, memory: KeyValue, mask_BS: str, heads: int) -> str:
    """Attention of several queries a sentence to one memory, each as [B, S, A] or split as [B, H, S, C]: `y_TA`.

    The mask is int32, 0 hides a position.
    """
    y_BLA = g.node("MultiHeadAttention", query_BLA, *memory, "", mask_BS, num_heads=heads)
    return g.node("Flatten", y_BLA, axis=2)


def attend_to_past(g: GraphBuilder, qkv_NA: str, past: KeyValue, heads: int, channels: int) -> tuple[str, KeyValue]:
    """Attention of one new position a row to itself and the positions before.

    Written out, as the operator for whole attentions takes up to 1.6 times as long for many rows of one query each.

    Args:
        g: the graph.
        qkv_NA: query, key and value of the new position, one beside the other.
        past: keys and values of the positions before, [N, H, L, C].
        heads: number of heads.
        channels: width of a head.

    Returns:
        `y_NA`, and keys and values of all positions.
    """
    qkv_NHLC = g.node("Reshape", qkv_NA, g.constant([-1, 3 * heads, 1, channels]))
    query, key, value = g.nodes("Split", qkv_NHLC, outputs=3, axis=1, num_outputs=3)
    present = KeyValue(*(g.node("Concat", old, new, axis=2) for old, new in zip(past, (key, value), strict=True)))
    score_NHLS = g.node("FusedMatMul", query, present.key_BHSC, transB=1, alpha=channels**-0.5)
    y_NHLC = g.node("MatMul", g.node("Softmax", score_NHLS, axis=-1), present.value_BHSC)
    return g.node("Reshape", y_NHLC, g.constant([-1, heads * channels])), present


def split_heads(g: GraphBuilder, x_BSA: str, heads: int, channels: int) -> str:
    """`x_BHSC` of `x_BSA`."""
    x_BSHC = g.node("Reshape", x_BSA, g.constant([0, 0, heads, channels]))
    return g.node("Transpose", x_BSHC, perm=[0, 2, 1, 3])


def embed(g: GraphBuilder, precision: Precision, token_T: str, position_TD: str, dim: int, table_dim: int) -> str:
    """Embeddings times the root of the dimension, plus positions (Vaswani et al. 2017, sections 3.4 and 3.5)."""
    x_TD = precision.embed(g, token_T)
    if dim != table_dim:
        x_TD = g.node("Slice", x_TD, g.constant([0]), g.constant([dim]), g.constant([-1]))
    return g.node("Add", g.node("Mul", x_TD, g.constant(dim**0.5, np.float32)), position_TD)
