"""`Scaling`: the features that differ between the measured architectures, brought to mean 0 and variance 1.

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from automoe.predictor.features import Features
from automoe.predictor.predictor import FloatArray

_ROUNDING = 1e-9
"""Features that differ by no more, relative to their size, are the same sum in another order."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """What is subtracted from each feature, and by what it is then divided."""

    names: tuple[str, ...]
    """The features that differ; none where the measured architectures are alike to the regressor."""
    centre: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def of(cls, features: Features) -> Scaling:
        """The scaling of what is learnt from."""
        x_NF = features.x_NF
        differs_F = np.ptp(x_NF, axis=0) > _ROUNDING * np.abs(x_NF).max(axis=0)
        x_NF = x_NF[:, differs_F]
        return cls(
            names=tuple(name for name, differs in zip(features.names, differs_F, strict=True) if differs),
            centre=tuple(x_NF.mean(axis=0).tolist()),
            scale=tuple(x_NF.std(axis=0).tolist()),
        )

    def __call__(self, features: Features) -> FloatArray:
        """The scaled features, z_NF; each row's do not depend on the other rows."""
        return (features.columns(self.names) - np.array(self.centre)) / np.array(self.scale)

    def times(self, share: Callable[[str], float]) -> Scaling:
        """The same with each feature times a share, given its name: what it counts before anything is learnt."""
        scale = (scale / share(name) for name, scale in zip(self.names, self.scale, strict=True))
        return replace(self, scale=tuple(scale))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return {name: list(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Scaling:
        """Reads the JSON form of `to_dict`."""
        return cls(**{name: tuple(value) for name, value in form.items()})


def weighted_sum(z_NF: FloatArray, weight_F: FloatArray) -> FloatArray:
    """`z_NF @ weight_F`, summed feature by feature: a matrix product may round otherwise for another N."""
    value_N = np.zeros(len(z_NF))
    for column, weight in enumerate(weight_F):
        value_N += z_NF[:, column] * weight
    return value_N
