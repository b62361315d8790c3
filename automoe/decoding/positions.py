"""`PositionTable`: sinusoidal positions (Vaswani et al. 2017, section 3.5), without PyTorch.

Shape suffixes: L length, D model dim.
"""

from __future__ import annotations

import math

import numpy as np

from automoe.decoding.stepper import Float32Array


def sinusoids(length: int, dim: int) -> Float32Array:
    """Positions 0 to `length` - 1: the sines of `dim` / 2 rates, then their cosines.

    Args:
        length: number of positions.
        dim: model dimension, even.
    """
    half = dim // 2
    rate = np.exp(np.arange(half) * (-math.log(10_000.0) / max(half - 1, 1)))
    angle_LH = np.arange(length)[:, None] * rate
    return np.concatenate([np.sin(angle_LH), np.cos(angle_LH)], axis=1).astype(np.float32)


class PositionTable:
    """Sinusoids of one dimension, computed as far as they have been asked for.

    Args:
        dim: model dimension, even.
    """

    def __init__(self, dim: int) -> None:
        self._table_LD = sinusoids(256, dim)

    def first(self, length: int) -> Float32Array:
        """Positions 0 to `length` - 1, `position_LD`."""
        if length > len(self._table_LD):
            self._table_LD = sinusoids(2 * length, self._table_LD.shape[1])
        return self._table_LD[:length]

    def one(self, position: int) -> Float32Array:
        """One position, [1, D]."""
        if position >= len(self._table_LD):
            self.first(position + 1)
        return self._table_LD[position : position + 1]
