"""`Mlp`: an ensemble of small neural networks around a ridge regression.

Shape suffixes: N architectures, F features, M networks, H hidden units.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from automoe.predictor.features import BASE, SUMS, Features
from automoe.predictor.predictor import FloatArray
from automoe.predictor.regressors.linear_function import CEILING, FLOOR
from automoe.predictor.robust_ridge import robust_ridge
from automoe.predictor.scaling import Scaling, weighted_sum
from automoe.predictor.spread import LEAST_NOISE, spread_beside_noise

_NETWORKS, _HIDDEN = 8, 16
_STEPS, _RATE, _PATIENCE = 400, 0.01, 50
_DECAY = 1e-3
_HELD_OUT = 0.2
"""Share of the rows that each network is stopped by; another part for each."""
_BEYOND = 0.9
"""Errors above this quantile count linearly (Huber's loss)."""
_LEAST_ROWS = 10
"""Of fewer rows the ridge regression is all that is learnt."""
_BLOCK = 512
"""Architectures at once: what they make of hidden units stays in the cache."""


@dataclass(frozen=True, kw_only=True)
class Mlp:
    """The mean of networks of one hidden layer; they learn what a ridge regression of the logarithm leaves over.

    Each network starts at 0, learns from another part of the rows, and stops where its mean absolute error on the
    rest is least. Where the networks disagree, intervals are wider. Predictions are between half of the least value
    that was learnt from and twice the greatest.
    """

    groups: ClassVar[tuple[str, ...]] = (BASE, SUMS)
    scaling: Scaling
    weight: tuple[float, ...]
    """What each scaled feature counts in the ridge regression."""
    intercept: float
    unit: float
    """What the networks say is in units of this: the usual error of the ridge regression, in logarithms."""
    networks: tuple[tuple[tuple[float, ...], ...], ...]
    """Of each network, of each hidden unit: weights of the features, its own bias, what it counts."""
    noise: float
    """Usual error of a network on rows that it has not learnt from, in logarithms."""
    floor: float
    ceiling: float

    @classmethod
    def fit(cls, features: Features, values_N: FloatArray) -> Mlp:
        """Learns the ridge regression, then the networks."""
        scaling, log_N = Scaling.of(features), np.log(values_N)
        z_NF = scaling(features)
        ridge = robust_ridge(z_NF, log_N, np.ones(len(log_N)))
        error_N = log_N - ridge(z_NF)
        unit = float(np.sqrt(np.mean(error_N**2)))
        networks: FloatArray = np.empty((0, _HIDDEN, z_NF.shape[1] + 2))
        noise = max(unit, LEAST_NOISE)
        if z_NF.shape[1] and unit > LEAST_NOISE and len(log_N) >= _LEAST_ROWS:
            networks, noise_of_unit = _train(z_NF, error_N / unit)
            noise = max(noise_of_unit * unit, LEAST_NOISE)
        return cls(
            scaling=scaling,
            weight=tuple(ridge.weight_F.tolist()),
            intercept=ridge.intercept,
            unit=unit,
            networks=tuple(tuple(map(tuple, network)) for network in networks.tolist()),
            noise=noise,
            floor=FLOOR * float(values_N.min()),
            ceiling=CEILING * float(values_N.max()),
        )

    def predict(self, features: Features) -> FloatArray:
        """The exponential of the ridge regression and the mean of the networks, between floor and ceiling."""
        z_NF = self.scaling(features)
        log_N = self.intercept + weighted_sum(z_NF, np.array(self.weight))
        said_MN = self._said(z_NF)
        if len(said_MN):
            log_N += self.unit * _mean(said_MN)
        return np.clip(np.exp(log_N), self.floor, self.ceiling)

    def spread(self, features: Features) -> FloatArray:
        """How far the networks disagree, beside their usual error."""
        said_MN = self._said(self.scaling(features))
        if not len(said_MN):
            return np.ones(len(features))
        variance_N = _mean((said_MN - _mean(said_MN)) ** 2)
        return spread_beside_noise(self.unit * np.sqrt(variance_N), self.noise)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        networks = [[list(unit) for unit in network] for network in self.networks]
        return own | {"scaling": self.scaling.to_dict(), "weight": list(self.weight), "networks": networks}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Mlp:
        """Reads the JSON form of `to_dict`."""
        own: dict[str, Any] = {"scaling": Scaling.from_dict(form["scaling"]), "weight": tuple(form["weight"])}
        own["networks"] = tuple(tuple(map(tuple, network)) for network in form["networks"])
        return cls(**{**form, **own})

    def _said(self, z_NF: FloatArray) -> FloatArray:
        """What each network says, said_MN; elementwise, so that no row's rounding depends on the others."""
        said_MN = np.zeros((len(self.networks), len(z_NF)))
        if not self.networks:
            return said_MN
        unit_MHF = np.array(self.networks)
        for begin in range(0, len(z_NF), _BLOCK):
            z_FN = np.ascontiguousarray(z_NF[begin : begin + _BLOCK].T)
            hidden_MHN = np.repeat(unit_MHF[:, :, -2, None], z_FN.shape[1], axis=2)
            for feature, z_N in enumerate(z_FN):
                hidden_MHN += unit_MHF[:, :, feature, None] * z_N
            hidden_MHN = unit_MHF[:, :, -1, None] * np.tanh(hidden_MHN)
            for hidden in range(hidden_MHN.shape[1]):
                said_MN[:, begin : begin + _BLOCK] += hidden_MHN[:, hidden]
        return said_MN


def _mean(said_MN: FloatArray) -> FloatArray:
    total_N = np.zeros(said_MN.shape[1])
    for said_N in said_MN:
        total_N += said_N
    return total_N / len(said_MN)


def _train(z_NF: FloatArray, target_N: FloatArray) -> tuple[FloatArray, float]:
    """Trains all networks at once, with Adam on all rows.

    Returns:
        The networks, unit_MHF with bias and outer weight last, each as it was when it predicted its held-out rows
        best; and the root of the mean squared error on those.
    """
    rng = np.random.default_rng([zlib.crc32(b"mlp"), *z_NF.shape])
    held_out_MN = _held_out(len(z_NF), rng)
    x_NF = np.column_stack([z_NF, np.ones(len(z_NF))])
    inner_MFH = rng.standard_normal((_NETWORKS, x_NF.shape[1], _HIDDEN)) / np.sqrt(z_NF.shape[1])
    outer_MH = np.zeros((_NETWORKS, _HIDDEN))
    weights = [inner_MFH, outer_MH]
    moments = [[np.zeros_like(weight) for weight in weights] for _ in range(2)]
    best, least_M, last_better = [weight.copy() for weight in weights], np.full(_NETWORKS, np.inf), 0
    for step in range(1, _STEPS + 1):
        hidden_MNH = np.tanh(x_NF @ inner_MFH)
        error_MN = (hidden_MNH @ outer_MH[:, :, None])[:, :, 0] - target_N
        bound_M1 = np.quantile(np.abs(error_MN), _BEYOND, axis=1, keepdims=True)
        slope_MN = np.clip(error_MN, -bound_M1, bound_M1)
        loss_M = _share(np.abs(error_MN), held_out_MN)  # the bound of the slopes differs from step to step
        better_M = loss_M < least_M
        if better_M.any():
            last_better = step
            least_M = np.where(better_M, loss_M, least_M)
            for kept, weight in zip(best, weights, strict=True):
                kept[better_M] = weight[better_M]
        elif step - last_better > _PATIENCE:
            break
        slope_MN = np.where(held_out_MN, 0.0, slope_MN) / np.sum(~held_out_MN, axis=1, keepdims=True)
        inward_MNH = slope_MN[:, :, None] * outer_MH[:, None] * (1 - hidden_MNH**2)
        gradients = [x_NF.T @ inward_MNH, (slope_MN[:, None] @ hidden_MNH)[:, 0]]
        _adam(weights, gradients, moments, step)
    hidden_MNH = np.tanh(x_NF @ best[0])
    error_MN = (hidden_MNH @ best[1][:, :, None])[:, :, 0] - target_N
    noise = float(np.sqrt(np.mean(_share(error_MN**2, held_out_MN))))
    return np.concatenate([best[0].transpose(0, 2, 1), best[1][:, :, None]], axis=2), noise


def _held_out(rows: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """The rows that each network does not learn from, as a mask."""
    held_out_MN = np.zeros((_NETWORKS, rows), dtype=bool)
    for held_out_N in held_out_MN:
        held_out_N[rng.choice(rows, max(1, round(_HELD_OUT * rows)), replace=False)] = True
    return held_out_MN


def _share(value_MN: FloatArray, mask_MN: npt.NDArray[np.bool_]) -> FloatArray:
    """Mean of each network's values where the mask says so."""
    mean_M: FloatArray = np.sum(value_MN * mask_MN, axis=1) / np.sum(mask_MN, axis=1)
    return mean_M


def _adam(weights: list[FloatArray], gradients: list[FloatArray], moments: list[list[FloatArray]], step: int) -> None:
    """One step of Adam (Kingma and Ba 2015) with decoupled decay, in place."""
    for weight, gradient, first, second in zip(weights, gradients, *moments, strict=True):
        first += 0.1 * (gradient - first)
        second += 0.001 * (gradient**2 - second)
        scaled = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        weight -= _RATE * (first / (1 - 0.9**step) / scaled + _DECAY * weight)
