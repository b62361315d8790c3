"""`LinearFunction`: what regressors that add up weighted features have in common.

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from automoe.predictor.features import BASE, SUMS, Features
from automoe.predictor.predictor import FloatArray
from automoe.predictor.scaling import Scaling, weighted_sum

FLOOR = 0.5
"""No prediction is below this share of the least value that was learnt from, so all are positive."""
CEILING = 2.0
"""What bends upwards predicts at most this many times the greatest value that was learnt from."""


@dataclass(frozen=True, kw_only=True)
class LinearFunction:
    """A linear function of the standardised features.

    No prediction is below half of the least value that was learnt from, so all are positive; where the smallest
    architecture of the space was measured, nothing comes near that. Where the measured architectures differ in no
    feature, as those that differ in heads alone, it is the mean of their values.
    """

    groups: ClassVar[tuple[str, ...]] = (BASE, SUMS)
    scaling: Scaling
    weight: tuple[float, ...]
    """What each scaled feature counts."""
    intercept: float
    floor: float
    """The least prediction."""

    def predict(self, features: Features) -> FloatArray:
        """The linear function, not below the floor."""
        value_N = self.intercept + weighted_sum(self.scaling(features), np.array(self.weight))
        return np.maximum(value_N, self.floor)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return own | {"scaling": self.scaling.to_dict(), "weight": list(self.weight)}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Self:
        """Reads the JSON form of `to_dict`."""
        own: dict[str, Any] = {"scaling": Scaling.from_dict(form["scaling"]), "weight": tuple(form["weight"])}
        return cls(**{**form, **own})
