"""`Sizes`: ridge regression on sums over layers and on every size of every layer, for the quality of architectures.

Quality depends on which layer is how large, latency on sums over layers; so this one sees what `Ridge` adds up, too.
From few architectures the sums are learnt first: the sizes of single layers count less until many speak for them.

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from automoe.predictor.features import SIZES, SUMS, Features
from automoe.predictor.predictor import FloatArray
from automoe.predictor.regressors.linear_function import FLOOR, LinearFunction
from automoe.predictor.scaling import Scaling

_SHRINKAGE = 3.0
"""Added to the variance of each standardised feature, summed over N."""
_OF_LAYERS = 0.3
"""What the size of a layer counts beside a sum over layers, before anything is learnt: sizes are many."""


@dataclass(frozen=True, kw_only=True)
class Sizes(LinearFunction):
    """A linear function of standardised features: sums over layers, and the logarithm of the sizes of layers.

    No prediction is below half of the least value that was learnt from, so all are positive.
    """

    groups: ClassVar[tuple[str, ...]] = (SUMS, SIZES)

    @classmethod
    def fit(cls, features: Features, values_N: FloatArray) -> Sizes:
        """Learns the weights."""
        features = _with_logarithms(features)
        scaling = Scaling.of(features).times(lambda name: _OF_LAYERS if name.startswith(SIZES) else 1.0)
        z_NF = scaling(features)
        gram_FF = z_NF.T @ z_NF + _SHRINKAGE * np.eye(z_NF.shape[1])
        weight_F = np.linalg.solve(gram_FF, z_NF.T @ (values_N - values_N.mean()))
        return cls(
            scaling=scaling,
            weight=tuple(weight_F.tolist()),
            intercept=float(values_N.mean()),
            floor=FLOOR * float(values_N.min()),
        )

    def predict(self, features: Features) -> FloatArray:
        """The linear function, not below the floor."""
        return super().predict(_with_logarithms(features))


def _with_logarithms(features: Features) -> Features:
    """Twice as wide helps as much at any width."""
    is_size_F = np.array([name.startswith(SIZES) for name in features.names], dtype=bool)
    return replace(features, x_NF=np.where(is_size_F, np.log1p(features.x_NF), features.x_NF))
