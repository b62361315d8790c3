"""Layer norm of which an architecture uses the first units.

Shape suffixes: D model dim.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ElasticLayerNorm(nn.Module):
    """Layer norm (Ba et al. 2016) over as many units as the input has, with the first weights."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def sliced(self, dim: int) -> dict[str, Tensor]:
        """The parameters that a model of dimension `dim` uses, by name."""
        return {"weight": self.weight[:dim], "bias": self.bias[:dim]}

    def forward(self, x_D: Tensor) -> Tensor:
        """Normalises the last axis, whatever its size up to the maximum."""
        dim = x_D.shape[-1]
        return F.layer_norm(x_D, (dim,), self.weight[:dim], self.bias[:dim])
