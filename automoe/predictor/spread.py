"""How much wider an interval is where a regressor doubts itself.

Shape suffixes: N architectures.
"""

from __future__ import annotations

import numpy as np

from automoe.predictor.predictor import FloatArray

LEAST_NOISE = 1e-3
"""Measured values repeat no better than this, in logarithms: a regressor that meets all rows is not sure of all."""
_WIDEST = 4.0
"""Far outside a regressor knows nothing, not even how little."""


def spread_beside_noise(doubt_N: FloatArray, noise: float) -> FloatArray:
    """The spread of architectures, from 1 up: their error is doubt and noise together, and noise everywhere.

    Args:
        doubt_N: the regressor's own standard deviation, in logarithms.
        noise: the usual error where there is no doubt, in logarithms.
    """
    return np.minimum(np.sqrt(1 + (doubt_N / max(noise, LEAST_NOISE)) ** 2), _WIDEST)
