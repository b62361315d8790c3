"""`ExecutedFlops`: the FLOPs that an architecture is expected to execute as trained routers load its experts.

A `Predictor` like that of latency, but it learns shares of tokens (`ExpertShares`), so it needs to be told the loads
of what it learns from. All of a pass but its experts' part is known exactly; intervals come from cross-validation of
that part, as `calibration` says.

How far off it is, beside the value at uniform load, `experiments/benchmarks/latency/executed_flops.py` finds out.

Shape suffixes: N architectures.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.cost import costs
from automoe.cost.executed import ExpertLoads, executed_expert_flops, executed_flops, uniform_expert_flops
from automoe.errors import AutoMoEError
from automoe.predictor.calibration import MIN_ROWS, check_measured, folds_of, interval_factor, rows_for_coverage
from automoe.predictor.expert_shares import ExpertShares, LayerKind
from automoe.predictor.features import Described, Features
from automoe.predictor.predictor import FloatArray, Prediction, check_format
from automoe.space import Architecture

FORMAT = 1
"""Version of the JSON form; a reader refuses any other."""
TOKENS = 30
"""Source and target tokens of the pass, as for `costs`."""
LEARNT, UNIFORM = "learnt", "uniform"
"""Where the shares come from: the loads that were seen, or nowhere, which gives the analytic value."""
_SURE = 1e-9
"""Spread below which the experts' part is known: whatever the routing, all experts of a layer are equally wide."""
_UNTOLD = math.exp(2)
"""The factor where too few architectures tell one: twice the deviation of tokens that choose as one, at random."""


@dataclass(frozen=True, kw_only=True)
class _Model:
    """What was learnt."""

    shares: ExpertShares
    factor: float
    rows: int


class ExecutedFlops:
    """A `Predictor` of `executed_flops` of a pass over 30 source and 30 target tokens.

    Args:
        loads: of the architectures that it will learn from, what each expert got of the tokens.
        kind: `LEARNT`; or `UNIFORM`, the analytic value with an interval, the baseline to report beside it.
        experts_only: predict `executed_expert_flops`, the expert layers' part alone: 0 for a dense model.
        coverage, folds, seed: of the intervals, as for `CalibratedPredictor`.
    """

    def __init__(
        self,
        loads: Mapping[Architecture, ExpertLoads],
        *,
        kind: str = LEARNT,
        experts_only: bool = False,
        coverage: float = 0.9,
        folds: int = 10,
        seed: int = 1,
    ) -> None:
        if kind not in (LEARNT, UNIFORM):
            raise ValueError(f"kind {kind!r} is neither {LEARNT!r} nor {UNIFORM!r}")
        self.kind, self.experts_only, self.coverage = kind, experts_only, coverage
        self._loads, self._folds, self._seed = loads, folds, seed
        self._fitted: _Model | None = None

    @property
    def shares(self) -> ExpertShares:
        """The shares that were learnt; they serve sentences of any length, with `executed_flops`."""
        return self._model.shares

    @property
    def promises(self) -> bool:
        """Whether enough architectures with experts of unequal width were learnt from to promise the coverage."""
        return self._model.rows >= rows_for_coverage(self.coverage)

    def fit(self, archs: Described, values: npt.ArrayLike) -> None:
        """Learns from architectures whose loads were given, and the FLOPs that these amount to; see `Predictor.fit`.

        Raises:
            AutoMoEError: there is too little to learn from, or rows of a table in place of architectures.
        """
        self.fit_part(archs, check_measured(archs, values))

    def fit_part(self, archs: Described, values_N: FloatArray) -> None:
        """Learns from a part of a table; see `Predictor.fit_part`."""
        archs = _architectures(archs)
        experts_N = values_N if self.experts_only else values_N - np.array([_fixed_flops(arch) for arch in archs])
        rng = np.random.default_rng([self._seed, zlib.crc32(b"executed flops"), len(archs)])
        predicted_N = np.empty(len(archs))
        for others, held_out in folds_of(len(archs), self._folds, rng):
            shares = self._learn([archs[row] for row in others])
            predicted_N[held_out] = [_expert_flops(archs[row], shares) for row in held_out]
        spread_N = np.array([_spread(arch) for arch in archs])
        doubtful_N = spread_N > _SURE
        factor, rows = _UNTOLD, int(doubtful_N.sum())
        if rows >= MIN_ROWS:
            factor = interval_factor(
                experts_N[doubtful_N], predicted_N[doubtful_N], self.coverage, spread_N[doubtful_N]
            )
        self._fitted = _Model(shares=self._learn(archs), factor=factor, rows=rows)

    def fit_loads(self) -> None:
        """Learns from all architectures whose loads were given.

        Raises:
            AutoMoEError: there are none.
        """
        if not self._loads:
            raise AutoMoEError(
                "there is no architecture whose expert loads are known",
                hint="Measure with trained weights (`automoe profile`): it records the loads of each row",
            )
        archs = list(self._loads)
        self.fit_part(archs, executed_values(self._loads, experts_only=self.experts_only))

    def predict(self, archs: Described) -> Prediction:
        """Predicts architectures; see `Predictor.predict`.

        The interval is the value where all experts of a layer are equally wide.

        Raises:
            AutoMoEError: they are rows of a table in place of architectures.
        """
        archs, model = _architectures(archs), self._model
        fixed_N = np.array([0.0 if self.experts_only else _fixed_flops(arch) for arch in archs])
        experts_N = np.array([_expert_flops(arch, model.shares) for arch in archs])
        factor_N = model.factor ** np.array([_spread(arch) for arch in archs])
        return Prediction(fixed_N + experts_N, fixed_N + experts_N / factor_N, fixed_N + experts_N * factor_N)

    def outside(self, archs: Sequence[Architecture]) -> list[tuple[str, ...]]:
        """For each architecture the layers of a kind that was not learnt from; none for most."""
        return [self.shares.unseen(arch) for arch in archs]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`; without the loads that it learnt from."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "experts_only": self.experts_only,
            "coverage": self.coverage,
            "folds": self._folds,
            "seed": self._seed,
            "factor": self._model.factor,
            "rows": self._model.rows,
            "shares": self._model.shares.to_dict(),
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> ExecutedFlops:
        """Reads the JSON form of `to_dict`: it predicts the same, and knows no loads to learn from anew.

        Raises:
            AutoMoEError: it is of another version.
        """
        check_format(form, FORMAT)
        settings = {name: form[name] for name in ("kind", "experts_only", "coverage", "folds", "seed")}
        predictor = cls({}, **settings)
        predictor._fitted = _Model(
            shares=ExpertShares.from_dict(form["shares"]), factor=form["factor"], rows=form["rows"]
        )
        return predictor

    @property
    def _model(self) -> _Model:
        if self._fitted is None:
            raise RuntimeError("the predictor has not been fitted")
        return self._fitted

    def _learn(self, archs: Sequence[Architecture]) -> ExpertShares:
        if self.kind == UNIFORM:
            return ExpertShares.uniform()
        return ExpertShares.fit(archs, [self._loads[arch] for arch in archs])


def executed_values(loads: Mapping[Architecture, ExpertLoads], *, experts_only: bool = False) -> FloatArray:
    """What `ExecutedFlops` learns and predicts of architectures whose loads are known.

    Raises:
        ValueError: loads are not of their architecture.
    """
    function = executed_expert_flops if experts_only else executed_flops
    return np.array([function(arch, load) for arch, load in loads.items()], dtype=np.float64)


def _architectures(archs: Described) -> Sequence[Architecture]:
    if isinstance(archs, Features):
        raise AutoMoEError(
            "executed FLOPs need architectures: which layer has which experts",
            hint="A published table tells averages only; use one that `automoe profile` measured",
        )
    return archs


def _fixed_flops(arch: Architecture) -> int:
    """All of `flops` but the experts of expert layers; vocabulary and norms are no part of it."""
    return costs(arch, vocab_size=1, pre_norm=True).flops - uniform_expert_flops(arch)


def _expert_layers(arch: Architecture) -> Iterator[tuple[LayerKind, tuple[int, ...], int]]:
    """Of each expert layer its kind, its widths, and the FLOPs of a unit of width that all tokens meet."""
    for side, index, layer in arch.layers():
        if layer.num_experts > 1:
            kind = LayerKind.of(arch, side, index, layer)
            yield kind, layer.expert_widths, 4 * TOKENS * kind.dim * layer.top_k


def _expert_flops(arch: Architecture, shares: ExpertShares) -> float:
    """As `executed_expert_flops`, not rounded."""
    return sum(
        (
            flops * sum(width * share for width, share in zip(widths, shares[kind], strict=True))
            for kind, widths, flops in _expert_layers(arch)
        ),
        start=0.0,
    )


def _spread(arch: Architecture) -> float:
    """Standard deviation of the experts' part, relative to it, if all tokens of a layer chose as one, at random."""
    variance = total = 0.0
    for _, widths, flops in _expert_layers(arch):
        mean = sum(widths) / len(widths)
        total += flops * mean
        variance += flops**2 * sum((width - mean) ** 2 for width in widths) / len(widths)
    return math.sqrt(variance) / total if total else 0.0
