"""`Regressor`: what learns the mean of a predictor. One file each in `regressors/`, found by name.

Other packages add one with the entry point group `automoe.predictors`: `NAME = "package.module:Class"`. Features,
intervals, cross-validation and checks come by themselves: see `CalibratedPredictor`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol, Self, cast, runtime_checkable

import numpy as np

from automoe.errors import ConfigError, did_you_mean
from automoe.predictor.features import Encoder, Features
from automoe.predictor.predictor import FloatArray
from automoe.space import Architecture

ENTRY_POINT_GROUP = "automoe.predictors"


class Regressor(Protocol):
    """A fitted model of a positive quantity; a value."""

    groups: ClassVar[tuple[str, ...]]
    """The groups of features that it wants of architectures; see `Features`. It learns from all columns that it is
    given: where a table has none of these groups, from all that the table has."""

    @classmethod
    def fit(cls, features: Features, values_N: FloatArray) -> Self:
        """Learns from one architecture or more, and their values, all positive.

        A part of a short table may be a single row, or rows of equal values.
        """

    def predict(self, features: Features) -> FloatArray:
        """A positive value for each architecture; that of one does not depend on the others."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Self:
        """Reads the JSON form of `to_dict`; what it makes predicts the same to the last bit."""


@runtime_checkable
class Doubting(Protocol):
    """A regressor that knows where it knows less: its intervals are wider there."""

    def spread(self, features: Features) -> FloatArray:
        """How large the error may be relative to that of other architectures, above 0."""


def spread_of(regressor: Regressor, features: Features) -> FloatArray:
    """The regressor's own spread; 1 for one that is equally sure everywhere."""
    return regressor.spread(features) if isinstance(regressor, Doubting) else np.ones(len(features))


REGRESSORS: dict[str, str] = {
    "depth_lookup": "automoe.predictor.regressors.depth_lookup:DepthLookup",
    "linear": "automoe.predictor.regressors.linear:Linear",
    "ridge": "automoe.predictor.regressors.ridge:Ridge",
    "polynomial": "automoe.predictor.regressors.polynomial:Polynomial",
    "boosting": "automoe.predictor.regressors.boosting:Boosting",
    "mlp": "automoe.predictor.regressors.mlp:Mlp",
    "gaussian_process": "automoe.predictor.regressors.gaussian_process:GaussianProcess",
    "sizes": "automoe.predictor.regressors.sizes:Sizes",
    "transfer": "automoe.predictor.regressors.transfer:Transfer",
}
"""The regressors that come with AutoMoE, imported on first use."""


@dataclass(frozen=True, kw_only=True)
class FittedRegressor:
    """A regressor with the encoder of what it learnt from: it predicts architectures, without an interval."""

    encoder: Encoder
    regressor: Regressor

    @classmethod
    def fit(cls, kind: str, archs: Sequence[Architecture], values_N: FloatArray) -> FittedRegressor:
        """Learns from architectures.

        Args:
            kind: name of the regressor.
            archs: the architectures.
            values_N: their values, all positive.

        Raises:
            ConfigError: there is no such regressor.
        """
        regressor = find_regressor(kind)
        encoder = Encoder.for_architectures(archs, regressor.groups)
        return cls(encoder=encoder, regressor=regressor.fit(encoder.encode(archs), values_N))

    def __call__(self, archs: Sequence[Architecture]) -> FloatArray:
        """Predicts a positive value for each architecture."""
        return self.regressor.predict(self.encoder.encode(archs))


def find_regressor(kind: str, key: str = "predictor.kind", also: Sequence[str] = ()) -> type[Regressor]:
    """The regressor of this name: one of `REGRESSORS`, or one that another package registers.

    Args:
        kind: the name.
        key: where the user gave it, for messages.
        also: what else the user may give there, for messages.

    Raises:
        ConfigError: there is none.
    """
    if kind in REGRESSORS:
        module, _, name = REGRESSORS[kind].partition(":")
        return cast(type[Regressor], getattr(importlib.import_module(module), name))
    others = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if kind in others:
        found: type[Regressor] = others[kind].load()
        return found
    known = sorted({*REGRESSORS, *others, *also})
    raise ConfigError(
        key,
        kind,
        "there is no such predictor",
        allowed=", ".join(known),
        hint=did_you_mean(kind, known),
    )
