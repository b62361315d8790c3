"""`Regressor`: what learns the mean of a predictor. One file each here, found by name.

Other packages add one with the entry point group `automoe.predictors`: `NAME = "package.module:Class"`. Intervals,
cross-validation and checks come by themselves: see `CalibratedPredictor`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol, Self

from automoe.errors import ConfigError, did_you_mean
from automoe.predictor.depth_lookup import DepthLookup
from automoe.predictor.predictor import FloatArray
from automoe.predictor.ridge import Ridge
from automoe.predictor.sizes import Sizes
from automoe.space import Architecture

ENTRY_POINT_GROUP = "automoe.predictors"


class Regressor(Protocol):
    """A fitted model of a positive quantity; a value."""

    @classmethod
    def fit(cls, archs: Sequence[Architecture], values_N: FloatArray) -> Self:
        """Learns from one architecture or more, and their values, all positive.

        A part of a short table may be a single row, or rows of equal values.
        """

    def predict(self, archs: Sequence[Architecture]) -> FloatArray:
        """A positive value for each architecture."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Self:
        """Reads the JSON form of `to_dict`; what it makes predicts the same to the last bit."""


REGRESSORS: dict[str, type[Regressor]] = {"depth_lookup": DepthLookup, "ridge": Ridge, "sizes": Sizes}
"""The regressors that come with AutoMoE."""


def find_regressor(kind: str, key: str = "predictor.kind") -> type[Regressor]:
    """The regressor of this name: one of `REGRESSORS`, or one that another package registers.

    Args:
        kind: the name.
        key: where the user gave it, for messages.

    Raises:
        ConfigError: there is none.
    """
    if kind in REGRESSORS:
        return REGRESSORS[kind]
    others = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if kind in others:
        found: type[Regressor] = others[kind].load()
        return found
    known = sorted({*REGRESSORS, *others})
    raise ConfigError(
        key,
        kind,
        "there is no such predictor",
        allowed=", ".join(known),
        hint=did_you_mean(kind, known),
    )
