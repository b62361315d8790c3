"""`CalibratedPredictor`: any regressor, with intervals from cross-validation."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.predictor.calibration import check_measured, cross_validated, interval_factor
from automoe.predictor.predictor import FloatArray, Prediction
from automoe.predictor.regressor import Regressor, find_regressor
from automoe.space import Architecture


class CalibratedPredictor:
    """A `Predictor`: the regressor's value as the mean, and a multiplicative interval around it.

    Args:
        kind: name of the regressor; see `find_regressor`.
        coverage: share of the architectures whose value lies in their interval; see `interval_factor` for tables
            that are too short to promise it.
        folds: parts of the cross-validation, at most as many as measured architectures.
        seed: splits the parts.

    Raises:
        ConfigError: there is no such regressor.
    """

    def __init__(self, kind: str, *, coverage: float = 0.9, folds: int = 10, seed: int = 1) -> None:
        self.kind, self.coverage = kind, coverage
        self._folds, self._seed = folds, seed
        self._regressor_class = find_regressor(kind)
        self._fitted: tuple[Regressor, float] | None = None

    @property
    def factor(self) -> float:
        """The interval is [mean / factor, mean * factor]."""
        return self._model[1]

    @property
    def regressor(self) -> Regressor:
        """The regressor, fitted to all that was measured."""
        return self._model[0]

    def fit(self, archs: Sequence[Architecture], values: npt.ArrayLike) -> None:
        """Learns from measured architectures; see `Predictor.fit`."""
        self.fit_part(archs, check_measured(archs, values))

    def fit_part(self, archs: Sequence[Architecture], values_N: FloatArray) -> None:
        """Learns from a part of a table; see `Predictor.fit_part`."""
        rng = np.random.default_rng([self._seed, zlib.crc32(b"calibration"), len(archs)])
        held_out_N = cross_validated(self._fit_predict, archs, values_N, self._folds, rng)
        factor = interval_factor(values_N, held_out_N, self.coverage)
        self._fitted = self._regressor_class.fit(archs, values_N), factor

    def predict(self, archs: Sequence[Architecture]) -> Prediction:
        """Predicts architectures; see `Predictor.predict`."""
        regressor, factor = self._model
        mean_N = regressor.predict(archs)
        return Prediction(mean_N, mean_N / factor, mean_N * factor)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `predictor_from_dict`."""
        regressor, factor = self._model
        return {
            "kind": self.kind,
            "coverage": self.coverage,
            "folds": self._folds,
            "seed": self._seed,
            "factor": factor,
            "regressor": regressor.to_dict(),
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> CalibratedPredictor:
        """Reads the JSON form of `to_dict`."""
        predictor = cls(form["kind"], coverage=form["coverage"], folds=form["folds"], seed=form["seed"])
        predictor._fitted = predictor._regressor_class.from_dict(form["regressor"]), form["factor"]
        return predictor

    @property
    def _model(self) -> tuple[Regressor, float]:
        if self._fitted is None:
            raise RuntimeError("the predictor has not been fitted")
        return self._fitted

    def _fit_predict(
        self, archs: Sequence[Architecture], values_N: FloatArray, new_archs: Sequence[Architecture]
    ) -> FloatArray:
        return self._regressor_class.fit(archs, values_N).predict(new_archs)


def make_predictor(kind: str, coverage: float = 0.9, *, folds: int = 10, seed: int = 1) -> CalibratedPredictor:
    """An unfitted predictor.

    Args:
        kind: name of the regressor: `ridge`, `depth_lookup`, `sizes`, or an entry point `automoe.predictors`.
        coverage: share of the architectures whose value lies in their interval.
        folds: parts of the cross-validation that calibrates the interval, at most as many as measured architectures.
        seed: splits the parts.

    Raises:
        ConfigError: there is no such regressor.
    """
    return CalibratedPredictor(kind, coverage=coverage, folds=folds, seed=seed)


def predictor_from_dict(form: Mapping[str, Any]) -> CalibratedPredictor:
    """The fitted predictor of which `Predictor.to_dict` made this form."""
    return CalibratedPredictor.from_dict(form)
