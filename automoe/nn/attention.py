"""Multi-head attention of elastic width (Vaswani et al. 2017, section 3.2; HAT for the elastic part).

An architecture uses the first `qkv_dim` rows of the projections, over the first units of the model
dimension, and divides them into its own number of heads.

Shape suffixes: N rows of queries, B rows of memory, L query length, S memory length, D model dim,
A queries/keys/values over all heads, H heads, C channels of a head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KeyValue(NamedTuple):
    """Projected keys and values, split into heads."""

    key_BHSC: Tensor
    value_BHSC: Tensor

    def select(self, rows: Tensor) -> KeyValue:
        """The same for the given rows of the batch."""
        return KeyValue(self.key_BHSC.index_select(0, rows), self.value_BHSC.index_select(0, rows))

    def append(self, new: KeyValue) -> KeyValue:
        """Both along the length, this one first."""
        return KeyValue(
            torch.cat([self.key_BHSC, new.key_BHSC], dim=2), torch.cat([self.value_BHSC, new.value_BHSC], dim=2)
        )


class Attention(nn.Module):
    """Attention from queries of dimension `query_dim` to a memory of dimension `memory_dim`."""

    def __init__(self, *, query_dim: int, memory_dim: int, qkv_dim: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.query_weight = nn.Parameter(torch.empty(qkv_dim, query_dim))
        self.query_bias = nn.Parameter(torch.zeros(qkv_dim))
        self.key_weight = nn.Parameter(torch.empty(qkv_dim, memory_dim))
        self.key_bias = nn.Parameter(torch.zeros(qkv_dim))
        self.value_weight = nn.Parameter(torch.empty(qkv_dim, memory_dim))
        self.value_bias = nn.Parameter(torch.zeros(qkv_dim))
        self.output_weight = nn.Parameter(torch.empty(query_dim, qkv_dim))
        self.output_bias = nn.Parameter(torch.zeros(query_dim))
        for weight in (self.query_weight, self.key_weight, self.value_weight):
            nn.init.xavier_uniform_(weight, gain=2**-0.5)
        nn.init.xavier_uniform_(self.output_weight)

    def sliced(self, *, query_dim: int, memory_dim: int, qkv_dim: int) -> dict[str, Tensor]:
        """The parameters that an attention of these sizes uses, by name."""
        return {
            "query_weight": self.query_weight[:qkv_dim, :query_dim],
            "query_bias": self.query_bias[:qkv_dim],
            "key_weight": self.key_weight[:qkv_dim, :memory_dim],
            "key_bias": self.key_bias[:qkv_dim],
            "value_weight": self.value_weight[:qkv_dim, :memory_dim],
            "value_bias": self.value_bias[:qkv_dim],
            "output_weight": self.output_weight[:query_dim, :qkv_dim],
            "output_bias": self.output_bias[:query_dim],
        }

    def project(self, memory_BSD: Tensor, *, heads: int, qkv_dim: int) -> KeyValue:
        """Keys and values of a memory."""
        dim = memory_BSD.shape[-1]
        key_BSA = F.linear(memory_BSD, self.key_weight[:qkv_dim, :dim], self.key_bias[:qkv_dim])
        value_BSA = F.linear(memory_BSD, self.value_weight[:qkv_dim, :dim], self.value_bias[:qkv_dim])
        return KeyValue(_split_heads(key_BSA, heads), _split_heads(value_BSA, heads))

    def forward(
        self,
        x_NLD: Tensor,
        memory: KeyValue,
        *,
        heads: int,
        qkv_dim: int,
        mask: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Attends from `x_NLD` to `memory`.

        Args:
            x_NLD: queries before projection. N may be a multiple of B: the rows of one memory stand
                together, and attend to it without copies of it being made.
            memory: of `project`.
            heads: number of heads.
            qkv_dim: width over all heads.
            mask: bool, broadcastable to [B, H, L, S]; False hides a position.
            causal: position l sees memory positions up to l (N = B and L = S).

        Returns:
            `y_NLD`.
        """
        dim = x_NLD.shape[-1]
        query_NLA = F.linear(x_NLD, self.query_weight[:qkv_dim, :dim], self.query_bias[:qkv_dim])
        num_memories = memory.key_BHSC.shape[0]
        query_BHLC = _split_heads(query_NLA.reshape(num_memories, -1, qkv_dim), heads)
        dropout = self.dropout if self.training else 0.0
        y_BHLC = F.scaled_dot_product_attention(
            query_BHLC, memory.key_BHSC, memory.value_BHSC, attn_mask=mask, dropout_p=dropout, is_causal=causal
        )
        y_NLA = y_BHLC.transpose(1, 2).reshape(*x_NLD.shape[:-1], qkv_dim)
        return F.linear(y_NLA, self.output_weight[:dim, :qkv_dim], self.output_bias[:dim])


def _split_heads(x_BSA: Tensor, heads: int) -> Tensor:
    rows, length, width = x_BSA.shape
    return x_BSA.view(rows, length, heads, width // heads).transpose(1, 2)
