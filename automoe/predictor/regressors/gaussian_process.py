"""`GaussianProcess`: Gaussian process regression, which knows how far it is from what was measured.

Shape suffixes: N architectures, F features, R rows learnt from, P pivots.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from automoe.predictor.features import BASE, SUMS, Features
from automoe.predictor.kernel import Kernel, most_uncertain
from automoe.predictor.predictor import FloatArray
from automoe.predictor.regressors.linear_function import CEILING, FLOOR
from automoe.predictor.scaling import Scaling, weighted_sum
from automoe.predictor.spread import spread_beside_noise

_ROWS = 250
"""Rows that are learnt from; of a longer table as many, drawn at random. Time grows with their cube."""
_PIVOTS = 64
"""Rows that the spread is found from: those that tell most. More rows would make it smaller, hardly."""
_BLOCK = 512
"""Architectures at once: their covariances with all rows stay in the cache."""

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class GaussianProcess:
    """The posterior mean of the logarithm, between half of the least and twice the greatest value learnt from.

    Intervals are wider by the posterior deviation.
    """

    groups: ClassVar[tuple[str, ...]] = (BASE, SUMS)
    scaling: Scaling
    centre: float
    """Mean of the logarithms."""
    unit: float
    """Their standard deviation."""
    kernel: Kernel
    rows: Matrix
    """Standardised features of the rows learnt from, the pivots first."""
    weight: tuple[float, ...]
    """What each of those counts."""
    whitening: Matrix
    """Inverse of the lower Cholesky factor of the covariance of the measured pivots."""
    floor: float
    ceiling: float

    @classmethod
    def fit(cls, features: Features, values_N: FloatArray) -> GaussianProcess:
        """Learns the kernel, with scikit-learn's GaussianProcessRegressor, and the posterior.

        Raises:
            DependencyError: scikit-learn is not installed.
        """
        floor, ceiling = FLOOR * float(values_N.min()), CEILING * float(values_N.max())
        if len(values_N) > _ROWS:
            rng = np.random.default_rng([zlib.crc32(b"gaussian process"), len(values_N)])
            drawn = np.sort(rng.choice(len(values_N), _ROWS, replace=False))
            features, values_N = features.take(drawn), values_N[drawn]
        scaling, log_R = Scaling.of(features), np.log(values_N)
        z_RF, centre, unit = scaling(features), float(log_R.mean()), float(log_R.std())
        if unit > 0 and scaling.names:
            kernel = Kernel.learn(z_RF, (log_R - centre) / unit)
        else:  # alike to the regressor, or all equal: the mean of all
            kernel, unit = Kernel(linear=1.0, smooth=1.0, lengths=(1.0,) * z_RF.shape[1], noise=1.0), unit or 1.0
        covariance_RR = kernel(z_RF, z_RF)
        pivots = most_uncertain(covariance_RR, kernel.noise, _PIVOTS)
        order = np.array([*pivots, *sorted(set(range(len(log_R))) - set(pivots))])
        covariance_RR = covariance_RR[np.ix_(order, order)] + kernel.noise * np.eye(len(order))
        weight_R = np.linalg.solve(covariance_RR, (log_R[order] - centre) / unit)
        pivots_PP = np.linalg.cholesky(covariance_RR[: len(pivots), : len(pivots)])
        return cls(
            scaling=scaling,
            centre=centre,
            unit=unit,
            kernel=kernel,
            rows=tuple(map(tuple, z_RF[order].tolist())),
            weight=tuple(weight_R.tolist()),
            whitening=tuple(map(tuple, np.tril(np.linalg.inv(pivots_PP)).tolist())),
            floor=floor,
            ceiling=ceiling,
        )

    def predict(self, features: Features) -> FloatArray:
        """The exponential of the posterior mean, between floor and ceiling."""
        z_NF, z_RF, weight_R = self.scaling(features), self._rows_RF, np.array(self.weight)
        # The linear part of the covariance sums up to a linear function.
        linear_F = self.kernel.linear * (weight_R @ z_RF)
        value_N = self.kernel.linear * float(weight_R.sum()) + weighted_sum(z_NF, linear_F)
        for begin in range(0, len(z_NF), _BLOCK):
            smooth_RN = self.kernel.smooth_part(z_RF, z_NF[begin : begin + _BLOCK])
            for weight, smooth_N in zip(self.weight, smooth_RN, strict=True):
                value_N[begin : begin + _BLOCK] += weight * smooth_N
        return np.clip(np.exp(self.centre + self.unit * value_N), self.floor, self.ceiling)

    def spread(self, features: Features) -> FloatArray:
        """The posterior deviation beside the noise."""
        z_NF, whitening_PP = self.scaling(features), np.array(self.whitening)
        z_PF = self._rows_RF[: len(whitening_PP)]
        variance_N = self.kernel.variance(z_NF)
        for begin in range(0, len(z_NF), _BLOCK):
            covariance_PN = self.kernel(z_PF, z_NF[begin : begin + _BLOCK])
            white_PN = np.zeros_like(covariance_PN)
            for pivot, covariance_N in enumerate(covariance_PN):
                white_PN[pivot:] += whitening_PP[pivot:, pivot, None] * covariance_N
            for white_N in white_PN:
                variance_N[begin : begin + _BLOCK] -= white_N**2
        doubt_N = self.unit * np.sqrt(np.maximum(variance_N, 0))
        return spread_beside_noise(doubt_N, self.unit * float(np.sqrt(self.kernel.noise)))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        own |= {name: [list(row) for row in own[name]] for name in ("rows", "whitening")}
        return own | {
            "scaling": self.scaling.to_dict(),
            "kernel": self.kernel.to_dict(),
            "weight": list(self.weight),
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> GaussianProcess:
        """Reads the JSON form of `to_dict`."""
        own: dict[str, Any] = {name: tuple(map(tuple, form[name])) for name in ("rows", "whitening")}
        own |= {"scaling": Scaling.from_dict(form["scaling"]), "kernel": Kernel.from_dict(form["kernel"])}
        return cls(**{**form, **own, "weight": tuple(form["weight"])})

    @property
    def _rows_RF(self) -> FloatArray:
        return np.array(self.rows).reshape(len(self.rows), len(self.scaling.names))
