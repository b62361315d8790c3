"""Where tokens go: the router of a layer with several experts (Fedus et al. 2022, section 2.1).

Shape suffixes: T tokens, D model dim, E experts, K experts per token, P pairs of a token and a chosen expert.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

RouterPrecision = Literal["float32", "model"]
"""What a router computes in: at least float32, or whatever its inputs and weights are in."""

_ROUNDING = 1e-9
"""50 * 1.1 is a little more than 55 in floating point."""


class Routing(NamedTuple):
    """How a layer's router scored its tokens, and which experts it chose, whether they have room or not."""

    expert_TK: Tensor
    """Chosen experts, best first (int64)."""
    gate_TK: Tensor
    """Weight of each chosen expert's output, in the router's precision: float32 unless asked otherwise (float64 for
    float64 states)."""
    logits_TE: Tensor
    """Router scores before the softmax, in the same precision."""
    probs_TE: Tensor
    """Softmax of the scores."""
    room: int | None = None
    """Pairs of a token and a choice that each expert takes, the first ones in the order of the batch; None: all."""

    def loads_E(self) -> Tensor:
        """Number of (token, choice) pairs that chose each expert, whether it has room or not (int64)."""
        chosen_P = self.expert_TK.flatten()
        # Not bincount, which waits for a GPU to learn how many experts there are.
        return chosen_P.new_zeros(self.probs_TE.shape[1]).scatter_add_(0, chosen_P, torch.ones_like(chosen_P))

    def dropped(self) -> Tensor:
        """Number of (token, choice) pairs that found no room (int64)."""
        loads_E = self.loads_E()
        return loads_E.new_zeros(()) if self.room is None else (loads_E - self.room).clamp(min=0).sum()


def route(
    x_TD: Tensor,
    weight_ED: Tensor,
    top_k: int = 1,
    *,
    jitter: float = 0.0,
    capacity_factor: float | None = None,
    precision: RouterPrecision = "float32",
) -> Routing:
    """Scores and chooses experts for each token, in at least float32 whatever the model's or autocast's precision.

    With top_k = 1 the gate is the softmax value itself, so that the router keeps its gradient (Switch);
    with more the chosen values are renormalised to sum 1.

    Args:
        x_TD: token states.
        weight_ED: router weights of the experts that this architecture has.
        top_k: experts per token, at most E.
        jitter: the router sees its inputs multiplied by uniform noise from 1 - jitter to 1 + jitter (Fedus et al.
            2022, appendix C, as their code does it); 0 outside of training.
        capacity_factor: room of each expert, as a multiple of its even share of the tokens; None: room for all.
        precision: `model` scores in the precision of the states: what Switch (section 2.4, table 2) found to be
            unstable in bfloat16, for comparison. In float32 it changes nothing.

    Raises:
        ValueError: `top_k` exceeds the number of experts.
    """
    num_experts = weight_ED.shape[0]
    if top_k > num_experts:
        raise ValueError(f"top_k {top_k} exceeds the {num_experts} experts")
    exact = precision == "float32"
    dtype = torch.promote_types(x_TD.dtype, torch.float32) if exact else x_TD.dtype
    with torch.autocast(x_TD.device.type, enabled=False) if exact else nullcontext():
        x_TD = x_TD.to(dtype)
        if jitter > 0.0:
            x_TD = x_TD * torch.empty_like(x_TD).uniform_(1.0 - jitter, 1.0 + jitter)
        logits_TE = F.linear(x_TD, weight_ED.to(dtype))
        probs_TE = logits_TE.softmax(dim=1)
        gate_TK, expert_TK = probs_TE.topk(top_k, dim=1)
        if top_k > 1:
            gate_TK = gate_TK / gate_TK.sum(dim=1, keepdim=True)
    room = None if capacity_factor is None else capacity(len(x_TD), num_experts, top_k, capacity_factor)
    return Routing(expert_TK, gate_TK, logits_TE, probs_TE, room)


def capacity(num_tokens: int, num_experts: int, top_k: int, factor: float) -> int:
    """Tokens that an expert has room for: its even share times `factor`, rounded up (Switch, equation 3)."""
    return max(1, math.ceil(num_tokens * top_k / num_experts * factor - _ROUNDING))
