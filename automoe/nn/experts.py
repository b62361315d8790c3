"""Feed-forward layers of one or more experts, each of its own width (Fedus et al. 2022, section 2.1).

A token goes to the experts that its router scores highest. Tokens are sorted by expert, so that each
expert that has tokens is one pair of matrix products, whatever its width; a naive loop over tokens says
the same thing and is the reference that tests compare with.

Shape suffixes: T tokens, D model dim, E experts, F expert width, K experts per token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Expert(NamedTuple):
    """The weights of one expert: a feed-forward layer with ReLU."""

    w1_FD: Tensor
    b1_F: Tensor
    w2_DF: Tensor
    b2_D: Tensor


class Routing(NamedTuple):
    """How a layer's router scored its tokens and where they went."""

    expert_TK: Tensor
    """Chosen experts, best first (int64)."""
    gate_TK: Tensor
    """Weight of each chosen expert's output (float32, or float64 for float64 states)."""
    logits_TE: Tensor
    """Router scores before the softmax, in the same precision."""
    probs_TE: Tensor
    """Softmax of the scores."""

    def loads_E(self) -> Tensor:
        """Number of (token, choice) pairs that each expert received (int64)."""
        return torch.bincount(self.expert_TK.flatten(), minlength=self.probs_TE.shape[1])


def route(x_TD: Tensor, weight_ED: Tensor, top_k: int = 1) -> Routing:
    """Scores and chooses experts for each token, in at least float32 whatever the autocast dtype.

    With top_k = 1 the gate is the softmax value itself, so that the router keeps its gradient (Switch);
    with more the chosen values are renormalised to sum 1.

    Args:
        x_TD: token states.
        weight_ED: router weights of the experts that this architecture has.
        top_k: experts per token, at most E.

    Raises:
        ValueError: `top_k` exceeds the number of experts.
    """
    if top_k > weight_ED.shape[0]:
        raise ValueError(f"top_k {top_k} exceeds the {weight_ED.shape[0]} experts")
    dtype = torch.promote_types(x_TD.dtype, torch.float32)
    with torch.autocast(x_TD.device.type, enabled=False):
        logits_TE = F.linear(x_TD.to(dtype), weight_ED.to(dtype))
        probs_TE = logits_TE.softmax(dim=1)
        gate_TK, expert_TK = probs_TE.topk(top_k, dim=1)
        if top_k > 1:
            gate_TK = gate_TK / gate_TK.sum(dim=1, keepdim=True)
    return Routing(expert_TK, gate_TK, logits_TE, probs_TE)


def feed_forward(x_TD: Tensor, expert: Expert, activation_dropout: float = 0.0) -> Tensor:
    """`w2 relu(w1 x + b1) + b2`; dropout on the hidden units where it is above 0."""
    hidden_TF = F.relu(F.linear(x_TD, expert.w1_FD, expert.b1_F))
    if activation_dropout > 0.0:
        hidden_TF = F.dropout(hidden_TF, activation_dropout)
    return F.linear(hidden_TF, expert.w2_DF, expert.b2_D)


def dispatch_sorted(
    x_TD: Tensor, routing: Routing, experts: Sequence[Expert], activation_dropout: float = 0.0
) -> Tensor:
    """Sends tokens to their experts in order of expert and adds up the gated outputs.

    Returns:
        `y_TD`, in the dtype of the experts' output (that of `x_TD`, or autocast's).
    """
    top_k = routing.expert_TK.shape[1]
    expert_P = routing.expert_TK.flatten()  # P = T * K pairs of token and choice
    order_P = expert_P.argsort(stable=True)
    counts = torch.bincount(expert_P, minlength=len(experts)).tolist()
    token_P = order_P // top_k
    chunks = x_TD.index_select(0, token_P).split(counts)
    y_PD = torch.cat(
        [
            feed_forward(chunk_TD, expert, activation_dropout)
            for chunk_TD, expert in zip(chunks, experts, strict=True)
            if len(chunk_TD)
        ]
    )
    y_PD = y_PD * routing.gate_TK.flatten().index_select(0, order_P).to(y_PD.dtype)[:, None]
    back_P = torch.empty_like(order_P).scatter_(0, order_P, torch.arange(len(order_P), device=order_P.device))
    y_PD = y_PD.index_select(0, back_P)
    return y_PD if top_k == 1 else y_PD.view(-1, top_k, x_TD.shape[1]).sum(dim=1)


def dispatch_naive(x_TD: Tensor, routing: Routing, experts: Sequence[Expert]) -> Tensor:
    """The same as `dispatch_sorted`, one token and one expert at a time: the reference for tests."""
    rows = []
    for t in range(x_TD.shape[0]):
        row_D = torch.zeros_like(x_TD[t])
        for expert, gate in zip(routing.expert_TK[t].tolist(), routing.gate_TK[t], strict=True):
            row_D = row_D + gate.to(x_TD.dtype) * feed_forward(x_TD[t : t + 1], experts[expert])[0]
        rows.append(row_D)
    return torch.stack(rows)


class ExpertLayer(nn.Module):
    """Experts of given widths and, if there are several, their router.

    An architecture uses some of the experts, and of each its first hidden units.
    """

    def __init__(self, *, dim: int, widths: Sequence[int], activation_dropout: float) -> None:
        super().__init__()
        self.activation_dropout = activation_dropout
        self.router_weight = None
        if len(widths) > 1:
            # Switch (section 2.4): a truncated normal of a tenth of the usual variance.
            self.router_weight = nn.Parameter(torch.empty(len(widths), dim))
            std = (0.1 / dim) ** 0.5
            nn.init.trunc_normal_(self.router_weight, std=std, a=-2 * std, b=2 * std)
        self.w1 = nn.ParameterList([nn.Parameter(torch.empty(width, dim)) for width in widths])
        self.b1 = nn.ParameterList([nn.Parameter(torch.zeros(width)) for width in widths])
        self.w2 = nn.ParameterList([nn.Parameter(torch.empty(dim, width)) for width in widths])
        self.b2 = nn.ParameterList([nn.Parameter(torch.zeros(dim)) for _ in widths])
        for weight in (*self.w1, *self.w2):
            nn.init.xavier_uniform_(weight)

    def experts(self, dim: int, widths: Sequence[int], slots: Sequence[int]) -> list[Expert]:
        """The slices that fill the slots of an architecture.

        Args:
            dim: model dimension.
            widths: width of each slot.
            slots: for each slot the index of the expert here that fills it.
        """
        return [
            Expert(
                self.w1[slot][:width, :dim], self.b1[slot][:width], self.w2[slot][:dim, :width], self.b2[slot][:dim]
            )
            for width, slot in zip(widths, slots, strict=True)
        ]

    def router(self, dim: int, slots: Sequence[int]) -> Tensor:
        """The router's weights for the given experts, `weight_ED`; they need to be several."""
        assert self.router_weight is not None
        whole = tuple(slots) == tuple(range(self.router_weight.shape[0]))
        rows = self.router_weight if whole else self.router_weight[list(slots)]
        return rows[:, :dim]

    def sliced(self, dim: int, widths: Sequence[int], slots: Sequence[int]) -> dict[str, Tensor]:
        """The parameters that an architecture uses, under the names of a layer that holds no others."""
        named = {} if len(slots) == 1 else {"router_weight": self.router(dim, slots)}
        for index, expert in enumerate(self.experts(dim, widths, slots)):
            for name, weight in zip(("w1", "b1", "w2", "b2"), expert, strict=True):
                named[f"{name}.{index}"] = weight
        return named

    def forward(
        self, x_TD: Tensor, *, widths: Sequence[int], top_k: int, slots: Sequence[int]
    ) -> tuple[Tensor, Routing | None]:
        """Processes tokens.

        Args:
            x_TD: token states, paddings left out.
            widths: width of each expert slot.
            top_k: experts per token.
            slots: the expert here that fills each slot.

        Returns:
            `y_TD` and the routing; None for a single expert, which is a plain dense layer.
        """
        experts = self.experts(x_TD.shape[1], widths, slots)
        dropout = self.activation_dropout if self.training else 0.0
        if len(experts) == 1:
            return feed_forward(x_TD, experts[0], dropout), None
        routing = route(x_TD, self.router(x_TD.shape[1], slots), top_k)
        return dispatch_sorted(x_TD, routing, experts, dropout), routing
