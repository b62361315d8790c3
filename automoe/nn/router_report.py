"""How evenly a router spreads its tokens: numbers of one expert layer, for people to watch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RouterReport:
    """What the loads of a layer's experts say of its router."""

    loads: tuple[float, ...]
    """Share of the (token, choice) pairs that chose each expert, whether it had room or not; sums to 1."""
    cv: float
    """Coefficient of variation of the loads, their standard deviation over their mean: 0 if all experts have the
    same, sqrt(E - 1) if one of E has everything."""
    entropy: float
    """Entropy of the loads as a share of ln E, the most there can be: 1 if all experts have the same, 0 if one has
    everything; 1 for a single expert."""
    dropped: float
    """Share of the pairs that found no room."""


def router_report(loads: Sequence[float], dropped: float = 0.0) -> RouterReport:
    """Makes the report of one layer from counts, which may be summed over batches and processes.

    Args:
        loads: number of pairs that chose each expert.
        dropped: number of pairs that found no room.

    Raises:
        ValueError: there was no pair.
    """
    total, experts = sum(loads), len(loads)
    if total <= 0:
        raise ValueError("a router that saw no token has no loads")
    shares = tuple(load / total for load in loads)
    variance = sum((share - 1 / experts) ** 2 for share in shares) / experts
    entropy = sum(-share * math.log(share) for share in shares if share > 0)
    return RouterReport(
        loads=shares,
        cv=experts * math.sqrt(variance),
        entropy=entropy / math.log(experts) if experts > 1 else 1.0,
        dropped=dropped / total,
    )
