"""Stage `predictor`: learns latency from the measured table, and finds the least that the space can cost.

It holds `predictor.json`; `fit.json`, how well it predicts what it has not seen, beside the lookup by decoder depth;
and `bounds.json`, from which an impossible budget is refused at once.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automoe.data import PreparedData
from automoe.files import write_json
from automoe.latency import TABLE_FILE, MeasuredTable, read_table
from automoe.pipeline.config import RunConfig
from automoe.pipeline.costing import CostModel
from automoe.pipeline.files import BOUNDS, FIT, PREDICTOR_FILE
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.predictor import CalibratedPredictor, Predictor, PredictorConfig, fit_report, make_predictor
from automoe.predictor.regressor import find_regressor
from automoe.search import LATENCY, Estimate, space_begins
from automoe.space import Architecture

BASELINE = "depth_lookup"
"""Every predictor is reported beside it: the mean latency of the same decoder depth."""
_SAMPLES = 2000
"""Architectures among which the fastest is looked for, beside the smallest and the floor of the space."""


@dataclass(frozen=True, kw_only=True)
class PredictorPart:
    """What the predictor depends on beside the measured table."""

    space: SpacePart
    pre_norm: bool
    predictor: PredictorConfig


def _part(config: RunConfig) -> PredictorPart:
    find_regressor(config.predictor.kind)  # a wrong name shall not wait for the training
    return PredictorPart(space=searched_part(config), pre_norm=config.model.pre_norm, predictor=config.predictor)


def _run(part: PredictorPart, inputs: Inputs, out: Path) -> None:
    table, config = read_table(inputs["profile"] / TABLE_FILE), part.predictor

    def make(kind: str) -> CalibratedPredictor:
        return make_predictor(kind, config.coverage, folds=config.folds, seed=inputs.seed)

    archs, values_N = table.architectures, table.latency_ms_N
    reports = {
        kind: fit_report(lambda kind=kind: make(kind), archs, values_N, config.folds, inputs.seed).to_dict()  # type: ignore[misc]
        for kind in dict.fromkeys((config.kind, BASELINE))
    }
    predictor = make(config.kind)
    predictor.fit(archs, values_N)
    vocab_size = PreparedData.open(inputs["data"]).summary.vocab_size
    model = CostModel(part.space.space, predictor, vocab_size=vocab_size, pre_norm=part.pre_norm)
    write_json(out / PREDICTOR_FILE, predictor.to_dict())
    write_json(out / FIT, {"kind": config.kind, "reports": reports})
    write_json(out / BOUNDS, _bounds(model, predictor, table, inputs.seed))


def _bounds(model: CostModel, predictor: Predictor, table: MeasuredTable, seed: int) -> dict[str, Any]:
    """The least that each cost can be, and the costs of the largest architecture.

    Exact costs are those of the space's floor, below which none is. A predictor need not agree with that order: of
    latency it is the least lower bound of the floor and of many architectures of the space.
    """
    space = model.codec.space
    rng = np.random.default_rng([seed, zlib.crc32(b"bounds"), 0])
    drawn = model.codec.decode_all(model.codec.sample(_SAMPLES, rng))
    floor = space.floor()
    # The model itself knows architectures of the space alone, and the floor need not be one.
    latency = predictor.predict(list(dict.fromkeys([floor, space.smallest(), *drawn])))
    least = int(np.argmin(latency.lower_N))
    bounds = (float(each_N[least]) for each_N in (latency.mean_N, latency.lower_N, latency.upper_N))
    minima = {LATENCY: Estimate(*bounds)}
    minima |= {cost: Estimate(value, value, value) for cost, value in model.exact(floor).items()}
    fastest = min(table.rows, key=lambda row: row.latency_ms)
    if fastest.latency_ms < minima[LATENCY].lower:  # what was measured is no less true
        minima[LATENCY] = Estimate(fastest.latency_ms, fastest.low_ms, fastest.high_ms)
    return {
        "minima": {cost: list(estimate) for cost, estimate in minima.items()},
        "largest": model.exact(space.largest()) | {LATENCY: latency_of_largest(space.largest(), table, model)},
        "begins": space_begins(space),
    }


def latency_of_largest(largest: Architecture, table: MeasuredTable, model: CostModel) -> float:
    """Measured, since `profile` begins with it; predicted where a recorded table lacks it. Milliseconds."""
    measured = [row.latency_ms for row in table.rows if row.digest == largest.digest]
    return measured[0] if measured else float(model([largest])[LATENCY].mean_N[0])


PREDICTOR = Stage(name="predictor", run=_run, part=_part, needs=("data", "profile"))
