"""Multiplications and parameters of each part of the model, from sizes alone.

The functions are pure arithmetic: they take whole numbers, or NumPy integer arrays of any equal shape (many
architectures at once). One MAC is one multiply-add of a matrix product; FLOPs are twice that. The conventions are
those of HAT (Wang et al. 2020): one teacher-forced pass over one sentence pair.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", int, npt.NDArray[np.int64])


def attention_macs(queries: Number, keys: Number, query_dim: Number, key_dim: Number, qkv_dim: Number) -> Number:
    """Projections of queries (with the output) and of keys and values, scores, weighted sum.

    Args:
        queries: positions that attend.
        keys: positions that are attended; those of several encoder layers add up.
        query_dim: model dimension where the queries come from and the output goes.
        key_dim: model dimension where keys and values come from.
        qkv_dim: width of queries, keys and values over all heads.
    """
    return 2 * queries * query_dim * qkv_dim + 2 * keys * key_dim * qkv_dim + 2 * queries * keys * qkv_dim


def attention_elementwise_macs(queries: Number, qkv_dim: Number) -> Number:
    """Scaling of the queries, and three products of sizes that the published profiles count."""
    return queries * qkv_dim + 3


def experts_macs(tokens: Number, dim: Number, total_width: Number, num_experts: Number, top_k: Number) -> Number:
    """Expected products of the experts when the router loads them evenly, rounded to a whole number.

    Args:
        tokens: positions that pass.
        dim: model dimension.
        total_width: sum of the experts' widths.
        num_experts: number of experts, 1 for a dense layer.
        top_k: experts per token.
    """
    twice_expected = 2 * (2 * tokens * dim * top_k * total_width)
    return (twice_expected + num_experts) // (2 * num_experts)


def router_macs(tokens: Number, dim: Number, num_experts: Number) -> Number:
    """The router's scores; a dense layer has no router."""
    return tokens * dim * num_experts * (num_experts > 1)


def gate_macs(tokens: Number, dim: Number, num_experts: Number, top_k: Number) -> Number:
    """Scaling of the experts' outputs by their gates; a dense layer has none."""
    return tokens * dim * top_k * (num_experts > 1)


def attention_params(query_dim: Number, key_dim: Number, qkv_dim: Number) -> Number:
    """Query, key, value and output projections with their biases."""
    return (query_dim + 1) * qkv_dim + 2 * (key_dim + 1) * qkv_dim + (qkv_dim + 1) * query_dim


def experts_params(dim: Number, total_width: Number, num_experts: Number) -> Number:
    """Both matrices and both biases of every expert."""
    return 2 * dim * total_width + total_width + dim * num_experts


def router_params(dim: Number, num_experts: Number) -> Number:
    """The router's weights, without bias; a dense layer has no router."""
    return dim * num_experts * (num_experts > 1)


def norm_params(dim: Number) -> Number:
    """Weight and bias of a layer norm."""
    return 2 * dim
