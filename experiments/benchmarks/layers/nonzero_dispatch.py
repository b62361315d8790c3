"""The dispatch that AutoMoE's code describes (Jawahar et al. 2023): one expert after the other, whether it has tokens
or not, each finding its own with `nonzero`. Written anew for comparison; it takes what `dispatch_sorted` takes.

Shape suffixes: T tokens, D model dim, P tokens of one expert.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from automoe.nn import Expert, feed_forward
from automoe.nn.router import Routing


def dispatch_nonzero(
    x_TD: Tensor, routing: Routing, experts: Sequence[Expert], hidden_dropout: float = 0.0
) -> Tensor:
    """The same as `dispatch_sorted`, for one expert per token and room for all."""
    expert_T = routing.expert_TK[:, 0]
    y_TD = torch.zeros_like(x_TD)
    for index, expert in enumerate(experts):
        token_P = (expert_T == index).nonzero(as_tuple=True)[0]
        y_TD[token_P, :] = feed_forward(x_TD[token_P, :], expert)
    return y_TD * routing.gate_TK.to(y_TD.dtype)
