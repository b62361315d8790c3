"""Ridge regression that a few wrong rows do not lead astray: what `Ridge`, `Polynomial` and `Transfer` learn with.

Squared errors up to three times the usual error, absolute ones beyond (Huber 1964), by reweighting. The common bound
of 1.345 would take a disturbed fifth of a table for outliers altogether.

Shape suffixes: N rows, F features, A strengths of the penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automoe.predictor.predictor import FloatArray

_ALPHA_A = np.logspace(-4, 3, 22)
"""Strengths of the penalty to choose from; the features are standardised."""
_BOUND = 3.0
"""Errors of more usual errors than this count linearly."""
_ROUNDS = 4
"""Of reweighting."""
_MAD = 1.4826
"""The standard deviation of normal errors, in medians of their absolute value."""


@dataclass(frozen=True, kw_only=True)
class RidgeFit:
    """A linear function of standardised features."""

    weight_F: FloatArray
    intercept: float
    alpha: float
    """Strength of the penalty that was chosen by leaving out one row at a time."""

    def __call__(self, z_NF: FloatArray) -> FloatArray:
        """Its values for many rows at once; as to the last bit see `weighted_sum`."""
        value_N: FloatArray = z_NF @ self.weight_F + self.intercept
        return value_N


def robust_ridge(z_NF: FloatArray, values_N: FloatArray, weight_N: FloatArray) -> RidgeFit:
    """Fits values by ridge regression with Huber's loss.

    Args:
        z_NF: standardised features.
        values_N: what to fit.
        weight_N: what each row counts; its error is judged times the root of that.
    """
    fit, left_out_N = _ridge(z_NF, values_N, weight_N)
    for _ in range(_ROUNDS):
        # Of as many features as rows the fit meets all rows; what it makes of a row left out tells a wrong one.
        error_N = np.abs(left_out_N) * np.sqrt(weight_N)
        usual = _MAD * float(np.median(error_N))
        if usual <= 1e-9 * float(np.abs(values_N).max()):  # most are met exactly
            break
        shrink_N = np.minimum(1, _BOUND * usual / np.maximum(error_N, usual))
        fit, left_out_N = _ridge(z_NF, values_N, weight_N * shrink_N)
    return fit


def _ridge(z_NF: FloatArray, values_N: FloatArray, weight_N: FloatArray) -> tuple[RidgeFit, FloatArray]:
    """Weighted ridge regression; the strength of the penalty has the least weighted leave-one-out error.

    Returns:
        The fit, and the error of each row when it is left out.
    """
    root_N, share_N = np.sqrt(weight_N), weight_N / weight_N.sum()
    centre_F, centre = share_N @ z_NF, float(share_N @ values_N)
    # The eigenvectors of the weighted products give the solution, and each row's pull on it, for every strength.
    x_NF, y_N = (z_NF - centre_F) * root_N[:, None], (values_N - centre) * root_N
    eigenvalue_F, rotation_FF = np.linalg.eigh(x_NF.T @ x_NF)
    x_NF = x_NF @ rotation_FF
    shrunk_FA = 1 / (np.maximum(eigenvalue_F, 0)[:, None] + _ALPHA_A)
    product_F = x_NF.T @ y_N
    error_NA = y_N[:, None] - x_NF @ (shrunk_FA * product_F[:, None])
    pull_NA = x_NF**2 @ shrunk_FA + share_N[:, None]
    # A row that alone decides its own value (a single row at all) has no error to speak of.
    left_out_NA = error_NA / np.maximum(1 - pull_NA, 1e-9)
    best = int(np.argmin(np.sum(left_out_NA**2, axis=0)))
    weight_F = rotation_FF @ (shrunk_FA[:, best] * product_F)
    fit = RidgeFit(weight_F=weight_F, intercept=centre - float(centre_F @ weight_F), alpha=float(_ALPHA_A[best]))
    return fit, left_out_NA[:, best] / root_N
