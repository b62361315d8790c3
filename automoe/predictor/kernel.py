"""`Kernel`: how alike two architectures' values are expected to be, as a Gaussian process sees them.

A sum of a linear function of the features, a smooth function of them with a length for each, and noise (Rasmussen and
Williams 2006, chapters 2 and 4). What it is computed for is the logarithm of values, at mean 0 and variance 1.

Shape suffixes: N and M architectures, C candidates, F features.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from automoe.errors import DependencyError
from automoe.predictor.predictor import FloatArray
from automoe.predictor.scaling import weighted_sum

_LEAST_NOISE = 1e-4
"""Variance; less makes products of matrices inexact."""
_BOUNDS = (1e-3, 1e3)
"""Of variances."""
_ROWS, _STEPS = 120, 40
"""To learn from, and of the descent: what is left to gain then is little beside the noise."""
_LENGTHS = (0.3, 1e3)
"""Bounds of lengths; the features are standardised."""
_NONE = 500.0
"""Lengths from which on the smooth function does not depend on a feature: often most, and all take time."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """Covariance of the values of architectures with standardised features."""

    linear: float
    """Variance of the weight of each feature, and of the constant."""
    smooth: float
    """Variance of the smooth function."""
    lengths: tuple[float, ...]
    """By how much a feature must differ for the smooth function to be another."""
    noise: float
    """Variance of a measurement."""

    @classmethod
    def learn(cls, z_NF: FloatArray, values_N: FloatArray) -> Kernel:
        """The kernel under which the values are likeliest, with scikit-learn.

        Of more than 120 rows as many count, drawn at random: time grows with their cube.

        Args:
            z_NF: standardised features.
            values_N: values of mean 0 and variance 1.

        Raises:
            DependencyError: scikit-learn is not installed.
        """
        try:
            from scipy.optimize import minimize
            from sklearn.exceptions import ConvergenceWarning
            from sklearn.gaussian_process import GaussianProcessRegressor
            from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
        except ImportError as error:
            raise DependencyError("scikit-learn", extra="search") from error
        if len(values_N) > _ROWS:
            rng = np.random.default_rng([zlib.crc32(b"kernel"), len(values_N)])
            drawn = np.sort(rng.choice(len(values_N), _ROWS, replace=False))
            z_NF, values_N = z_NF[drawn], values_N[drawn]

        def descend(loss: Any, start: FloatArray, bounds: FloatArray) -> tuple[FloatArray, float]:
            end = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": _STEPS})
            return end.x, end.fun

        linear = ConstantKernel(0.1, _BOUNDS) * DotProduct(1.0, sigma_0_bounds="fixed")
        smooth = ConstantKernel(0.1, _BOUNDS) * RBF([3.0] * z_NF.shape[1], _LENGTHS)
        noise = WhiteKernel(0.01, (_LEAST_NOISE, 1.0))
        process = GaussianProcessRegressor(linear + smooth + noise, alpha=0.0, optimizer=descend)
        with warnings.catch_warnings():
            # A length at its bound is a feature that does not count.
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(z_NF, values_N)
        found = process.kernel_
        return cls(
            linear=float(found.k1.k1.k1.constant_value),
            smooth=float(found.k1.k2.k1.constant_value),
            lengths=tuple(np.ravel(found.k1.k2.k2.length_scale).tolist()),
            noise=float(found.k2.noise_level),
        )

    def __call__(self, z_MF: FloatArray, z_NF: FloatArray) -> FloatArray:
        """Covariance of noiseless values, k_MN; elementwise, so that none's rounding depends on the others."""
        return self.linear * (1 + _products(z_MF, z_NF)) + self.smooth_part(z_MF, z_NF)

    def smooth_part(self, z_MF: FloatArray, z_NF: FloatArray) -> FloatArray:
        """Covariance of the smooth function alone."""
        length_F = np.array(self.lengths)
        counts_F = length_F < _NONE
        u_MF, u_NF = z_MF[:, counts_F] / length_F[counts_F], z_NF[:, counts_F] / length_F[counts_F]
        # -(a - b)^2 / 2 = a b - a^2 / 2 - b^2 / 2, and only a b takes time for each pair.
        half_F = np.full(u_MF.shape[1], 0.5)
        exponent_MN = _products(u_MF, u_NF)
        exponent_MN -= weighted_sum(u_MF**2, half_F)[:, None]
        exponent_MN -= weighted_sum(u_NF**2, half_F)
        np.exp(exponent_MN, out=exponent_MN)
        exponent_MN *= self.smooth
        return exponent_MN

    def variance(self, z_NF: FloatArray) -> FloatArray:
        """Of noiseless values, before anything is known."""
        variance_N = np.full(len(z_NF), self.linear + self.smooth)
        for z_N in z_NF.T:
            variance_N += self.linear * z_N**2
        return variance_N

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return asdict(self) | {"lengths": list(self.lengths)}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Kernel:
        """Reads the JSON form of `to_dict`."""
        return cls(**{**form, "lengths": tuple(form["lengths"])})


def _products(z_MF: FloatArray, z_NF: FloatArray) -> FloatArray:
    """`z_MF @ z_NF.T`, summed feature by feature as in `weighted_sum`."""
    sum_MN = np.zeros((len(z_MF), len(z_NF)))
    product_MN = np.empty_like(sum_MN)
    for z_M, z_N in zip(z_MF.T, np.ascontiguousarray(z_NF.T), strict=True):
        sum_MN += np.multiply(z_M[:, None], z_N, out=product_MN)
    return sum_MN


def most_uncertain(covariance_CC: FloatArray, noise: float, count: int) -> list[int]:
    """Candidates to measure one after the other, each where most is unknown once those before it are measured.

    What will be measured need not be known: a Gaussian process's variance depends on where alone.

    Args:
        covariance_CC: of the candidates' noiseless values, given what was measured already.
        noise: variance of a measurement.
        count: candidates to choose, at most as many as there are.

    Returns:
        Their indices in the order of choice; of equals the first.
    """
    covariance_CC = covariance_CC.copy()
    chosen: list[int] = []
    for _ in range(min(count, len(covariance_CC))):
        variance_C = covariance_CC.diagonal().copy()
        variance_C[chosen] = -np.inf
        best = int(variance_C.argmax())
        chosen.append(best)
        with_best_C = covariance_CC[best].copy()
        covariance_CC -= np.outer(with_best_C, with_best_C) / (with_best_C[best] + noise)
    return chosen
