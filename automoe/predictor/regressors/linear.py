"""`Linear`: ordinary least squares, as published tables are compared with.

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automoe.predictor.features import Features
from automoe.predictor.predictor import FloatArray
from automoe.predictor.regressors.linear_function import FLOOR, LinearFunction
from automoe.predictor.scaling import Scaling


@dataclass(frozen=True, kw_only=True)
class Linear(LinearFunction):
    """A linear function by least squares, every row alike: a baseline. `Ridge` is better on few or doubtful rows."""

    @classmethod
    def fit(cls, features: Features, values_N: FloatArray) -> Linear:
        """Learns the weights; of all that fit as well, the smallest."""
        scaling, mean = Scaling.of(features), float(values_N.mean())
        weight_F, *_ = np.linalg.lstsq(scaling(features), values_N - mean)
        return cls(
            scaling=scaling, weight=tuple(weight_F.tolist()), intercept=mean, floor=FLOOR * float(values_N.min())
        )
