"""`CalibratedPredictor`: any regressor, with intervals from cross-validation."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.errors import AutoMoEError
from automoe.predictor.automatic import AUTO, AUTO_GROUPS, choose_kind
from automoe.predictor.calibration import (
    Fold,
    HeldOut,
    check_measured,
    cross_validated,
    folds_of,
    interval_factor,
)
from automoe.predictor.features import BASE, BASE_COLUMN, Described, Encoder, Features
from automoe.predictor.predictor import FloatArray, Prediction, check_format
from automoe.predictor.regressor import Regressor, find_regressor, spread_of
from automoe.predictor.seen import Seen
from automoe.space import Architecture

FORMAT = 2
"""Version of the JSON form of a predictor; a reader refuses any other."""


@dataclass(frozen=True, kw_only=True)
class _Model:
    """What was learnt."""

    kind: str
    """Name of the regressor: the one that was chosen, if the predictor chooses."""
    encoder: Encoder
    regressor: Regressor
    factor: float
    seen: Seen


class CalibratedPredictor:
    """A `Predictor`: the regressor's value as the mean, and a multiplicative interval around it.

    Args:
        kind: name of the regressor, see `find_regressor`; or "auto": the one that predicts held-out rows best.
        coverage: share of the architectures whose value lies in their interval; see `interval_factor` for tables
            that are too short to promise it.
        folds: parts of the cross-validation, at most as many as measured architectures.
        seed: splits the parts.
        base: a predictor that learnt another device; its logarithm is a feature, so that few rows suffice here.

    Raises:
        ConfigError: there is no such regressor.
    """

    def __init__(
        self,
        kind: str,
        *,
        coverage: float = 0.9,
        folds: int = 10,
        seed: int = 1,
        base: CalibratedPredictor | None = None,
    ) -> None:
        self.kind, self.coverage = kind, coverage
        self._folds, self._seed, self._base = folds, seed, base
        if kind != AUTO:
            find_regressor(kind, also=[AUTO])
        self._fitted: _Model | None = None
        self.folds_tried: Sequence[Fold] = ()
        """After `fit`: the parts that were held out in turn."""
        self.tried: Mapping[str, HeldOut] = {}
        """After `fit`: what each regressor that was tried predicted of them."""

    @property
    def factor(self) -> float:
        """The interval is [mean / factor, mean * factor], for architectures of spread 1."""
        return self._model.factor

    @property
    def chosen(self) -> str:
        """Name of the regressor: the kind, or what "auto" chose."""
        return self._model.kind

    @property
    def regressor(self) -> Regressor:
        """The regressor, fitted to all that was measured."""
        return self._model.regressor

    def fit(self, archs: Described, values: npt.ArrayLike) -> None:
        """Learns from measured architectures; see `Predictor.fit`."""
        self.fit_part(archs, check_measured(archs, values))

    def fit_part(self, archs: Described, values_N: FloatArray) -> None:
        """Learns from a part of a table; see `Predictor.fit_part`."""
        rng = np.random.default_rng([self._seed, zlib.crc32(b"calibration"), len(archs)])
        folds = list(folds_of(len(archs), self._folds, rng))
        if self.kind == AUTO:
            features = self.features_to_learn(archs, AUTO_GROUPS)
            kind, tried = choose_kind(features, values_N, folds)
            regressor = find_regressor(kind)
            features = features.only(regressor.groups)
        else:
            kind, regressor = self.kind, find_regressor(self.kind)
            features = self.features_to_learn(archs, regressor.groups).only(regressor.groups)
            tried = {kind: cross_validated(regressor, features, values_N, folds)}
        self.folds_tried, self.tried = folds, tried
        predicted_N, spread_N = tried[kind]
        # A published table tells averages, which architectures have too.
        deepest: Sequence[Architecture] = () if isinstance(archs, Features) else archs
        self._fitted = _Model(
            kind=kind,
            encoder=Encoder.for_architectures(deepest, features.groups),
            regressor=regressor.fit(features, values_N),
            factor=interval_factor(values_N, predicted_N, self.coverage, spread_N),
            seen=Seen.of(features),
        )

    def predict(self, archs: Described) -> Prediction:
        """Predicts architectures; see `Predictor.predict`.

        Raises:
            AutoMoEError: they are rows of a table that lacks what the predictor learnt from.
        """
        return self.predict_encoded(self.encode(archs))

    def encode(self, archs: Described) -> Features:
        """What the predictor sees of architectures."""
        features = archs if isinstance(archs, Features) else self._model.encoder.encode(archs)
        return self._with_base(features, archs)

    def predict_encoded(self, features: Features) -> Prediction:
        """Predicts what `encode` made; separate, since encoding takes longer."""
        model = self._model
        mean_N = model.regressor.predict(features)
        factor_N = model.factor ** spread_of(model.regressor, features)
        return Prediction(mean_N, mean_N / factor_N, mean_N * factor_N)

    def outside(self, archs: Described) -> list[tuple[str, ...]]:
        """For each architecture what of it lies outside what was learnt from: names of features; none for most."""
        return self._model.seen.outside(self.encode(archs))

    def anew(self) -> CalibratedPredictor:
        """An unfitted predictor of the same settings, with the regressor that was chosen: for the table grown."""
        return self.of_kind(self.chosen)

    def of_kind(self, kind: str) -> CalibratedPredictor:
        """An unfitted predictor of the same settings, with another regressor."""
        return CalibratedPredictor(kind, coverage=self.coverage, folds=self._folds, seed=self._seed, base=self._base)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `predictor_from_dict`."""
        model = self._model
        return {
            "format": FORMAT,
            "kind": self.kind,
            "coverage": self.coverage,
            "folds": self._folds,
            "seed": self._seed,
            "base": None if self._base is None else self._base.to_dict(),
            "chosen": model.kind,
            "encoder": model.encoder.to_dict(),
            "seen": model.seen.to_dict(),
            "factor": model.factor,
            "regressor": model.regressor.to_dict(),
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> CalibratedPredictor:
        """Reads the JSON form of `to_dict`."""
        base = None if form["base"] is None else cls.from_dict(form["base"])
        predictor = cls(form["kind"], coverage=form["coverage"], folds=form["folds"], seed=form["seed"], base=base)
        predictor._fitted = _Model(
            kind=form["chosen"],
            encoder=Encoder.from_dict(form["encoder"]),
            regressor=find_regressor(form["chosen"]).from_dict(form["regressor"]),
            factor=form["factor"],
            seen=Seen.from_dict(form["seen"]),
        )
        return predictor

    @property
    def _model(self) -> _Model:
        if self._fitted is None:
            raise RuntimeError("the predictor has not been fitted")
        return self._fitted

    def features_to_learn(self, archs: Described, groups: Sequence[str]) -> Features:
        """What a regressor would learn from, that wants these groups; the base's prediction too, if there is one."""
        features = archs if isinstance(archs, Features) else Encoder.for_architectures(archs, groups).encode(archs)
        return self._with_base(features, archs)

    def _with_base(self, features: Features, archs: Described) -> Features:
        if self._base is None or BASE in features.groups:
            return features
        try:
            base_N = self._base.predict(archs).mean_N
        except AutoMoEError as error:
            hint = "Name a base that learnt the columns of this table: a published table of the other device"
            raise AutoMoEError(**error.fields() | {"key": "predictor.base", "hint": hint}) from error
        return features.with_column(BASE_COLUMN, np.log(base_N))


def make_predictor(
    kind: str,
    coverage: float = 0.9,
    *,
    folds: int = 10,
    seed: int = 1,
    base: CalibratedPredictor | None = None,
) -> CalibratedPredictor:
    """An unfitted predictor; the arguments are those of `CalibratedPredictor`.

    Raises:
        ConfigError: there is no such regressor.
    """
    return CalibratedPredictor(kind, coverage=coverage, folds=folds, seed=seed, base=base)


def predictor_from_dict(form: Mapping[str, Any]) -> CalibratedPredictor:
    """The fitted predictor of which `Predictor.to_dict` made this form.

    Raises:
        AutoMoEError: it is of another version, or no predictor.
    """
    check_format(form, FORMAT)
    return CalibratedPredictor.from_dict(form)
