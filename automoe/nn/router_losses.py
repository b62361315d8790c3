"""Auxiliary losses that keep a router healthy; each is per layer and holds for any number of experts.

They are sums over thousands of tokens, so they are computed in at least float32 whatever the router computed in.

Shape suffixes: T tokens that are no padding, E experts, K experts per token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from automoe.nn.router import Routing


def balance_loss(routing: Routing) -> Tensor:
    """Load-balancing loss of one layer (Fedus et al. 2022, equations 4-6), without its coefficient.

    `E * sum_e f_e P_e` with f the share of (token, choice) pairs that chose expert e, which carries no
    gradient, and P the mean router probability. It is 1 when both are uniform and E when all tokens go to
    one expert with certainty.
    """
    probs_TE = _exact(routing.probs_TE)
    loads_E = routing.loads_E()
    share_E = loads_E.to(probs_TE.dtype) / loads_E.sum()
    return probs_TE.shape[1] * torch.dot(share_E, probs_TE.mean(dim=0))


def router_z_loss(routing: Routing) -> Tensor:
    """Router z-loss of one layer (Zoph et al. 2022, equation 5), without its coefficient.

    The mean over tokens of the squared log-sum-exp of the router's logits; (ln E)^2 at zero logits.
    """
    return _exact(routing.logits_TE).logsumexp(dim=1).square().mean()


def mean_router_losses(routings: Sequence[Routing], like: Tensor) -> tuple[Tensor, Tensor]:
    """Balance loss and z-loss of a model, averaged over its expert layers.

    Args:
        routings: one an expert layer.
        like: any tensor on the device where zeros shall be if there are none.
    """
    if not routings:
        zero = like.new_zeros((), dtype=torch.float32)
        return zero, zero
    balance = torch.stack([balance_loss(routing) for routing in routings]).mean()
    return balance, torch.stack([router_z_loss(routing) for routing in routings]).mean()


def _exact(x_TE: Tensor) -> Tensor:
    return x_TE.to(torch.promote_types(x_TE.dtype, torch.float32))
