"""`Ridge`: robust ridge regression on sums over the layers, for tables of a few dozen rows.

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

from automoe.predictor.features import Features
from automoe.predictor.predictor import FloatArray
from automoe.predictor.regressors.linear_function import FLOOR, LinearFunction
from automoe.predictor.robust_ridge import robust_ridge
from automoe.predictor.scaling import Scaling


@dataclass(frozen=True, kw_only=True)
class Ridge(LinearFunction):
    """A linear function by `robust_ridge`.

    Errors are weighed relative to the value, as users mind them and as intervals are made.
    """

    alpha: float
    """Strength of the penalty that was chosen; 0 if there is no feature to weigh."""

    @classmethod
    def fit(cls, features: Features, values_N: FloatArray) -> Ridge:
        """Learns the weights."""
        scaling, floor = Scaling.of(features), FLOOR * float(values_N.min())
        if not scaling.names:
            return cls(scaling=scaling, weight=(), intercept=float(values_N.mean()), floor=floor, alpha=0.0)
        fit = robust_ridge(scaling(features), values_N, (values_N.mean() / values_N) ** 2)
        return cls(
            scaling=scaling,
            weight=tuple(fit.weight_F.tolist()),
            intercept=fit.intercept,
            floor=floor,
            alpha=fit.alpha,
        )
