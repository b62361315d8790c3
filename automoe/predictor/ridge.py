"""`Ridge`: ridge regression on the physical features, for tables of a few dozen rows.

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from automoe.errors import DependencyError
from automoe.predictor.features import PHYSICAL_NAMES, physical_features
from automoe.predictor.predictor import FloatArray
from automoe.space import Architecture

_ALPHAS = np.logspace(-4, 3, 22)
"""Strengths of the penalty to choose from, by leave-one-out; the features are standardised."""
_FLOOR = 0.5
_ROUNDING = 1e-9
"""Features that differ by no more, relative to their size, are the same sum in another order."""


@dataclass(frozen=True, kw_only=True)
class Ridge:
    """A linear function of the standardised physical features.

    Errors are weighed relative to the value, as users mind them and as intervals are made. No prediction is below
    half of the least value that was learnt from, so all are positive; where the smallest architecture of the space
    was measured, nothing comes near that. Where the measured architectures differ in no feature, as those that differ
    in heads alone, it is the mean of their values.
    """

    names: tuple[str, ...]
    """The features that differ between the measured architectures."""
    centre: tuple[float, ...]
    """Subtracted from each feature ..."""
    scale: tuple[float, ...]
    """... which is then divided by this ..."""
    weight: tuple[float, ...]
    """... and counts so much."""
    intercept: float
    floor: float
    """The least prediction."""
    alpha: float
    """Strength of the penalty that was chosen; 0 if there is no feature to weigh."""

    @classmethod
    def fit(cls, archs: Sequence[Architecture], values_N: FloatArray) -> Ridge:
        """Learns the weights, with scikit-learn's RidgeCV.

        Raises:
            DependencyError: scikit-learn is not installed.
        """
        try:
            from sklearn.linear_model import RidgeCV
        except ImportError as error:
            raise DependencyError("scikit-learn", extra="search") from error
        x_NF, names = physical_features(archs)
        differs_F = np.ptp(x_NF, axis=0) > _ROUNDING * np.abs(x_NF).max(axis=0)
        if not differs_F.any():
            return cls._mean(values_N)
        x_NF = x_NF[:, differs_F]
        centre_F, scale_F = x_NF.mean(axis=0), x_NF.std(axis=0)
        regression = RidgeCV(alphas=_ALPHAS)
        regression.fit((x_NF - centre_F) / scale_F, values_N, sample_weight=(values_N.mean() / values_N) ** 2)
        return cls(
            names=tuple(name for name, differs in zip(names, differs_F, strict=True) if differs),
            centre=_floats(centre_F),
            scale=_floats(scale_F),
            weight=_floats(regression.coef_),
            intercept=float(regression.intercept_),
            floor=_FLOOR * float(values_N.min()),
            alpha=float(regression.alpha_),
        )

    @classmethod
    def _mean(cls, values_N: FloatArray) -> Ridge:
        """The mean, of every architecture."""
        floor = _FLOOR * float(values_N.min())
        return cls(names=(), centre=(), scale=(), weight=(), intercept=float(values_N.mean()), floor=floor, alpha=0.0)

    def predict(self, archs: Sequence[Architecture]) -> FloatArray:
        """The linear function, not below the floor."""
        x_NF, _ = physical_features(archs)
        x_NF = x_NF[:, [PHYSICAL_NAMES.index(name) for name in self.names]]
        # Summed feature by feature: a matrix product may round otherwise for another number of architectures.
        value_N = np.full(len(archs), self.intercept)
        for column, (centre, scale, weight) in enumerate(zip(self.centre, self.scale, self.weight, strict=True)):
            value_N += (x_NF[:, column] - centre) / scale * weight
        return np.maximum(value_N, self.floor)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Ridge:
        """Reads the JSON form of `to_dict`."""
        values: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in form.items()}
        return cls(**values)


def _floats(values_F: FloatArray) -> tuple[float, ...]:
    return tuple(float(value) for value in values_F)
