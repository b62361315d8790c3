"""`Prediction` and `Predictor`: what a search is told about an architecture that was not measured.

Shape suffixes: N architectures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from automoe.errors import AutoMoEError

if TYPE_CHECKING:
    from automoe.predictor.features import Described

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Values of N architectures, and the interval in which each lies with the predictor's coverage."""

    mean_N: FloatArray
    lower_N: FloatArray
    upper_N: FloatArray

    @classmethod
    def exact(cls, values_N: npt.ArrayLike) -> Prediction:
        """Values that are known: the interval is the value."""
        values = np.asarray(values_N, dtype=np.float64)
        return cls(values, values, values)

    def __len__(self) -> int:
        return len(self.mean_N)


def check_format(form: Mapping[str, Any], version: int) -> None:
    """Checks that the JSON form of a predictor is of the version that is read.

    Raises:
        AutoMoEError: it is of another version, or no predictor.
    """
    if form.get("format") != version:
        raise AutoMoEError(
            "is no predictor of this version of AutoMoE",
            key="format",
            value=form.get("format"),
            allowed=str(version),
        )


class Predictor(Protocol):
    """Learns a positive quantity (latency, executed FLOPs, loss) from measured architectures."""

    def fit(self, archs: Described, values: npt.ArrayLike) -> None:
        """Learns from architectures and their values, one each.

        Raises:
            AutoMoEError: there is too little to learn from.
        """

    def fit_part(self, archs: Described, values_N: FloatArray) -> None:
        """As `fit`, of a part of a table that was checked: it may be of two rows, or of equal values."""

    def predict(self, archs: Described) -> Prediction:
        """Predicts architectures, the measured ones no differently from others."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `predictor_from_dict`: it predicts the same, without scikit-learn."""
