"""How tokens meet the experts that a router chose for them.

Tokens are sorted by expert, so that each expert that has tokens is one pair of matrix products, whatever its width;
a naive loop over tokens says the same thing and is the reference that tests compare with.

Shape suffixes: T tokens, D model dim, F expert width, K experts per token, P pairs of a token and a chosen expert.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from automoe.nn.router import Routing


class Expert(NamedTuple):
    """The weights of one expert: a feed-forward layer with ReLU."""

    w1_FD: Tensor
    b1_F: Tensor
    w2_DF: Tensor
    b2_D: Tensor


def feed_forward(x_TD: Tensor, expert: Expert, hidden_dropout: float = 0.0) -> Tensor:
    """`w2 relu(w1 x + b1) + b2`; dropout on the hidden units where it is above 0."""
    hidden_TF = F.relu(F.linear(x_TD, expert.w1_FD, expert.b1_F))
    if hidden_dropout > 0.0:
        hidden_TF = F.dropout(hidden_TF, hidden_dropout)
    return F.linear(hidden_TF, expert.w2_DF, expert.b2_D)


def dispatch_sorted(x_TD: Tensor, routing: Routing, experts: Sequence[Expert], hidden_dropout: float = 0.0) -> Tensor:
    """Sends tokens to their experts in order of expert and adds up the gated outputs.

    A token gets nothing from an expert that has no room for it: one whose experts are all full leaves the layer as 0,
    and the residual sum as it came.

    Args:
        x_TD: token states.
        routing: of these tokens.
        experts: of any widths; only those that get tokens are asked for.
        hidden_dropout: on the experts' hidden units.

    Returns:
        `y_TD`, in the dtype of the experts' output (that of `x_TD`, or autocast's).
    """
    if len(x_TD) == 0:
        return torch.zeros_like(x_TD)
    top_k = routing.expert_TK.shape[1]
    order_P = routing.expert_TK.flatten().argsort(stable=True)
    counts = routing.loads_E().tolist()  # the one moment of waiting for a GPU
    room = routing.room
    drops = room is not None and max(counts) > room
    if drops:
        order_P = torch.cat([chunk_P[:room] for chunk_P in order_P.split(counts)])
        counts = [min(count, room) for count in counts]
    reached = [index for index, count in enumerate(counts) if count]
    token_P = order_P if top_k == 1 else order_P // top_k
    chunks = x_TD.index_select(0, token_P).split([counts[index] for index in reached])
    y_PD = torch.cat(
        [
            feed_forward(chunk_TD, experts[index], hidden_dropout)
            for chunk_TD, index in zip(chunks, reached, strict=True)
        ]
    )
    if drops:
        y_PD = y_PD.new_zeros(routing.expert_TK.numel(), y_PD.shape[1]).index_copy(0, order_P, y_PD)
    else:
        y_PD = y_PD.index_select(0, inverse(order_P))
    return gated_sum(y_PD, routing)


def inverse(order_P: Tensor) -> Tensor:
    """The permutation that undoes a permutation (int64)."""
    return torch.empty_like(order_P).scatter_(0, order_P, torch.arange(len(order_P), device=order_P.device))


def gated_sum(y_PD: Tensor, routing: Routing) -> Tensor:
    """Adds up what a token's experts say, each weighted by its gate.

    Args:
        y_PD: outputs of the experts; the pairs of a token stand together.
        routing: of the tokens.

    Returns:
        `y_TD`.
    """
    gate_TK = routing.gate_TK.to(y_PD.dtype)
    if gate_TK.shape[1] == 1:
        return y_PD * gate_TK
    return (y_PD.view(*gate_TK.shape, y_PD.shape[1]) * gate_TK[..., None]).sum(dim=1)


def dispatch_naive(x_TD: Tensor, routing: Routing, experts: Sequence[Expert]) -> Tensor:
    """The same as `dispatch_sorted`, one token and one expert at a time: the reference for tests."""
    taken = [0] * len(experts)
    rows = []
    for t in range(x_TD.shape[0]):
        row_D = torch.zeros_like(x_TD[t])
        for expert, gate in zip(routing.expert_TK[t].tolist(), routing.gate_TK[t], strict=True):
            taken[expert] += 1
            if routing.room is None or taken[expert] <= routing.room:
                row_D = row_D + gate.to(x_TD.dtype) * feed_forward(x_TD[t : t + 1], experts[expert])[0]
        rows.append(row_D)
    return torch.stack(rows) if rows else torch.zeros_like(x_TD)
