"""`DepthLookup`: the mean by decoder depth, the baseline that every other predictor is reported beside.

On GPUs nothing beats it: latency is decoder depth times a constant, and little else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from automoe.predictor.predictor import FloatArray
from automoe.space import Architecture


@dataclass(frozen=True, kw_only=True)
class DepthLookup:
    """Means of the measured values, by number of decoder layers.

    A depth that was not measured takes the value on the straight line between its neighbours, or, beyond all that
    were measured, that of the nearest.
    """

    depths: tuple[int, ...]
    """Ascending."""
    means: tuple[float, ...]

    @classmethod
    def fit(cls, archs: Sequence[Architecture], values_N: FloatArray) -> DepthLookup:
        """Averages the values of each depth."""
        depth_N = _depths(archs)
        depths = np.unique(depth_N)
        return cls(
            depths=tuple(int(depth) for depth in depths),
            means=tuple(float(values_N[depth_N == depth].mean()) for depth in depths),
        )

    def predict(self, archs: Sequence[Architecture]) -> FloatArray:
        """The mean of each architecture's depth."""
        return np.interp(_depths(archs), self.depths, self.means)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return {"depths": list(self.depths), "means": list(self.means)}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> DepthLookup:
        """Reads the JSON form of `to_dict`."""
        return cls(depths=tuple(form["depths"]), means=tuple(form["means"]))


def _depths(archs: Sequence[Architecture]) -> FloatArray:
    return np.array([len(arch.decoder.layers) for arch in archs], dtype=np.float64)
