"""`Transfer`: a device from what another one takes, for 20 to 50 measured rows.

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automoe.errors import AutoMoEError
from automoe.predictor.features import BASE_COLUMN, Features
from automoe.predictor.predictor import FloatArray
from automoe.predictor.regressors.linear_function import CEILING, FLOOR, LinearFunction
from automoe.predictor.robust_ridge import robust_ridge
from automoe.predictor.scaling import Scaling, weighted_sum

_OF_OTHER = 10.0
"""What the other device counts beside the sums, before anything is learnt: another exponent comes cheap."""


@dataclass(frozen=True, kw_only=True)
class Transfer(LinearFunction):
    """log value = a + b log value of the other device + a linear function of the sums, the last kept small.

    The logarithm of the other device's prediction is the feature `base.log_value`; see `CalibratedPredictor`. With
    nothing learnt this is a constant times the other device's value. Predictions are between half of the least value
    that was learnt from and twice the greatest.
    """

    alpha: float
    """Strength of the penalty that was chosen."""
    ceiling: float
    """The greatest prediction."""

    @classmethod
    def fit(cls, features: Features, values_N: FloatArray) -> Transfer:
        """Learns in what this device differs from the other.

        Raises:
            AutoMoEError: there is no other device.
        """
        if BASE_COLUMN not in features.names:
            raise AutoMoEError(
                "there is no other device to start from",
                key="predictor.kind",
                value="transfer",
                hint="Give a predictor that learnt another device (predictor.base), or take another kind",
            )
        scaling = Scaling.of(features).times(lambda name: _OF_OTHER if name == BASE_COLUMN else 1.0)
        log_N = np.log(values_N)
        fit = robust_ridge(scaling(features), log_N - features.columns([BASE_COLUMN])[:, 0], np.ones(len(log_N)))
        return cls(
            scaling=scaling,
            weight=tuple(fit.weight_F.tolist()),
            intercept=fit.intercept,
            floor=FLOOR * float(values_N.min()),
            alpha=fit.alpha,
            ceiling=CEILING * float(values_N.max()),
        )

    def predict(self, features: Features) -> FloatArray:
        """The other device's value times the exponential of the linear function, between floor and ceiling."""
        log_N = self.intercept + weighted_sum(self.scaling(features), np.array(self.weight))
        log_N += features.columns([BASE_COLUMN])[:, 0]
        return np.clip(np.exp(log_N), self.floor, self.ceiling)
