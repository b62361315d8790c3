"""Sinusoidal positions (Vaswani et al. 2017, section 3.5).

Shape suffixes: L length, D model dim.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

_CHUNK = 256


def sinusoid(length: int, dim: int, like: Tensor) -> Tensor:
    """Position vectors of dimension `dim` for positions 0 to `length` - 1.

    They depend on `dim` itself and are not a slice of a wider table, so that an extracted model has the
    same ones as its slice of the supernet.

    Args:
        length: number of positions.
        dim: model dimension, even.
        like: gives device and dtype.

    Returns:
        `position_LD`.
    """
    rounded = math.ceil(length / _CHUNK) * _CHUNK  # few distinct tables, so that the cache serves them
    return _table(rounded, dim, like.device, like.dtype)[:length]


@lru_cache(maxsize=64)
def _table(length: int, dim: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    half = dim // 2
    rate = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10_000.0) / max(half - 1, 1)))
    angle_LH = torch.arange(length, dtype=torch.float64)[:, None] * rate
    return torch.cat([angle_LH.sin(), angle_LH.cos()], dim=1).to(device=device, dtype=dtype)
