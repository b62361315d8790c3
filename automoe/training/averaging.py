"""Checkpoint averaging (Vaswani et al. 2017, section 6.1): one model of the last checkpoints of a training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def mean_weights(checkpoints: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each weight, summed in float64 in the order of the checkpoints, in float32.

    Args:
        checkpoints: the weights of one model at several times, at least one; taken one after the other.

    Raises:
        ValueError: there is none, or not all have the same names.
    """
    sums: dict[str, Tensor] = {}
    count = 0
    for weights in checkpoints:
        if count and weights.keys() != sums.keys():
            raise ValueError("the checkpoints are of different models")
        for name, weight in weights.items():
            sums[name] = sums[name] + weight.double() if count else weight.double()
        count += 1
    if count == 0:
        raise ValueError("there is no checkpoint to average")
    return {name: (total / count).to(torch.float32) for name, total in sums.items()}
