"""`DepthLookup`: the mean by decoder depth, the baseline that every other predictor is reported beside.

On GPUs nothing beats it: latency is decoder depth times a constant, and little else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from automoe.predictor.features import Features
from automoe.predictor.predictor import FloatArray


@dataclass(frozen=True, kw_only=True)
class DepthLookup:
    """Means of the measured values, by number of decoder layers.

    A depth that was not measured takes the value on the straight line between its neighbours, or, beyond all that
    were measured, that of the nearest.
    """

    groups: ClassVar[tuple[str, ...]] = ()
    depths: tuple[int, ...]
    """Ascending."""
    means: tuple[float, ...]

    @classmethod
    def fit(cls, features: Features, values_N: FloatArray) -> DepthLookup:
        """Averages the values of each depth."""
        depths = np.unique(features.depth_N)
        return cls(
            depths=tuple(depths.tolist()),
            means=tuple(float(values_N[features.depth_N == depth].mean()) for depth in depths),
        )

    def predict(self, features: Features) -> FloatArray:
        """The mean of each architecture's depth."""
        return np.interp(features.depth_N, self.depths, self.means)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return {"depths": list(self.depths), "means": list(self.means)}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> DepthLookup:
        """Reads the JSON form of `to_dict`."""
        return cls(depths=tuple(form["depths"]), means=tuple(form["means"]))
