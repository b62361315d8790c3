"""All experts of one width in two grouped matrix products, without waiting for the GPU.

`dispatch_sorted` has to know on the host how many tokens each expert gets; here the counts stay on the device. On a
processor it is never worth its copy of the weights (see experiments/benchmarks/layers), nor in decoding, whose steps
reach few experts; so it is for training on GPUs.

Shape suffixes: T tokens, D model dim, E experts, F expert width, P pairs of a token and a chosen expert.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from automoe.nn.dispatch import Expert, gated_sum, inverse
from automoe.nn.router import Routing

_GENERATIONS = (9, 10)
"""Major compute capabilities whose grouped product is one kernel; on others, and in other dtypes, PyTorch loops over
the experts and waits for the counts, in every product."""
_ALIGNMENT = 8
"""Sizes need to be a multiple of 16 bytes."""


def groupable(x_TD: Tensor, widths: Sequence[int], weight_dtype: torch.dtype) -> bool:
    """Whether `dispatch_grouped` is one kernel for these tokens and experts, and PyTorch has it.

    Args:
        x_TD: token states.
        widths: of the experts.
        weight_dtype: of the experts' weights.
    """
    return (
        hasattr(F, "grouped_mm")  # newer than the oldest PyTorch that we run with
        and x_TD.is_cuda
        and len(x_TD) > 0
        and x_TD.dtype is weight_dtype is torch.bfloat16
        and all(width == widths[0] for width in widths)
        and x_TD.shape[1] % _ALIGNMENT == widths[0] % _ALIGNMENT == 0
        and torch.cuda.get_device_capability(x_TD.device)[0] in _GENERATIONS
    )


def dispatch_grouped(
    x_TD: Tensor, routing: Routing, experts: Sequence[Expert], hidden_dropout: float = 0.0
) -> Tensor:
    """The same as `dispatch_sorted` for experts of one width.

    Two things differ. Pairs that find no room are computed and then weighted by 0, for their number would have to
    come back from the device; and an expert that no token reached gets a gradient of zeros, not none, so that an
    optimiser with momentum moves it.

    Args:
        x_TD: token states.
        routing: of these tokens.
        experts: all of one width.
        hidden_dropout: on the experts' hidden units.

    Returns:
        `y_TD`, in the dtype of `x_TD`.
    """
    stacked = Expert(*(torch.stack(weights) for weights in zip(*experts, strict=True)))
    return dispatch_stacked(x_TD, routing, stacked, hidden_dropout)


def dispatch_stacked(x_TD: Tensor, routing: Routing, experts: Expert, hidden_dropout: float = 0.0) -> Tensor:
    """The same over the weights of all experts in one tensor each, the experts on its first axis."""
    w1_EFD, b1_EF, w2_EDF, b2_ED = experts
    expert_P, order_P = routing.expert_TK.flatten().sort(stable=True)
    loads_E = routing.loads_E()
    end_E = loads_E.cumsum(0)
    offsets_E = end_E.to(torch.int32)
    # Biases by a product with the choices: an indexed read would sum its gradient in a different order each time.
    choice_PE = (expert_P[:, None] == torch.arange(len(loads_E), device=expert_P.device)).to(x_TD.dtype)
    x_PD = x_TD.index_select(0, order_P // routing.expert_TK.shape[1])
    hidden_PF = F.relu(F.grouped_mm(x_PD, w1_EFD.transpose(1, 2), offs=offsets_E) + choice_PE @ b1_EF)
    if hidden_dropout > 0.0:
        hidden_PF = F.dropout(hidden_PF, hidden_dropout)
    y_PD = F.grouped_mm(hidden_PF, w2_EDF.transpose(1, 2), offs=offsets_E) + choice_PE @ b2_ED
    if routing.room is not None:
        begin_P = (end_E - loads_E).index_select(0, expert_P)
        place_P = torch.arange(len(expert_P), device=expert_P.device) - begin_P
        y_PD = y_PD * (place_P < routing.room)[:, None]
    return gated_sum(y_PD.index_select(0, inverse(order_P)), routing)
