"""Stage `predictor`: learns latency from a measured table, and finds the least that the space can cost.

It holds `predictor.json`; `fit.json`, how well it predicts what it has not seen, beside all that was tried and the
lookup by decoder depth; `bounds.json`, from which an impossible budget is refused at once; and, where the table
records the loads of trained routers, `executed.json`: the FLOPs that these loads make of an architecture.

Given `predictor.table`, it is a stage without a space and without inputs: it learns from any table, a published one
too. Then there are drawings of the fit instead of bounds, and nothing can be searched.
"""

from __future__ import annotations

import sys
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automoe.data import PreparedData
from automoe.errors import DataError
from automoe.files import sha256_of, write_atomically, write_json
from automoe.latency import TABLE_FILE, MeasuredTable, read_table
from automoe.latency.config import TRAINED
from automoe.pipeline.base_predictor import base_fingerprint, check_kind, read_base
from automoe.pipeline.config import RunConfig
from automoe.pipeline.costing import CostModel
from automoe.pipeline.files import BOUNDS, EXECUTED
from automoe.pipeline.learnable import Learnable
from automoe.pipeline.predictor_fit import learn, write_fit
from automoe.pipeline.predictor_shown import predictor_shown
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.predictor import CalibratedPredictor, Predictor, PredictorConfig
from automoe.predictor.executed_report import executed_form, executed_reports, learn_executed_flops
from automoe.search import LATENCY, Estimate, space_begins
from automoe.space import Architecture, GenomeCodec, SearchSpace

_SAMPLES = 2000
"""Architectures among which the fastest is looked for, beside the smallest and the floor of the space."""
_MOST_OUTSIDE = 0.1
"""Share of the space that may lie beyond what was measured without a warning."""


@dataclass(frozen=True, kw_only=True)
class PredictorPart:
    """What the predictor depends on beside the measured table."""

    space: SpacePart
    pre_norm: bool
    predictor: PredictorConfig


def _part(config: RunConfig) -> PredictorPart:
    check_kind(config.predictor)  # a wrong name shall not wait for the training
    return PredictorPart(space=searched_part(config), pre_norm=config.model.pre_norm, predictor=config.predictor)


def _run(part: PredictorPart, inputs: Inputs, out: Path) -> None:
    table, space = read_table(inputs["profile"] / TABLE_FILE), part.space.space
    base = read_base(part.predictor, inputs.seed)
    predictor, fit = learn(Learnable.of(table), part.predictor, inputs.seed, base)
    fit["warnings"] += [*_missing_extremes(space, table), *_beyond_measured(space, predictor, inputs.seed)]
    vocab_size = PreparedData.open(inputs["data"]).summary.vocab_size
    model = CostModel(space, predictor, vocab_size=vocab_size, pre_norm=part.pre_norm)
    write_fit(out, predictor, fit)
    write_json(out / BOUNDS, _bounds(model, predictor, table, inputs.seed))
    if table.header.routing == TRAINED and any(row.expert_loads for row in table.rows):
        write_json(out / EXECUTED, _executed(table, part.predictor, inputs.seed))
    _warn(fit["warnings"])


def _executed(table: MeasuredTable, config: PredictorConfig, seed: int) -> dict[str, Any]:
    """Executed FLOPs, learnt from the loads that the table records: other routers load other experts."""
    settings: dict[str, Any] = {"coverage": config.coverage, "folds": config.folds, "seed": seed}
    learnt = learn_executed_flops(table.rows, **settings)
    return executed_form(learnt, executed_reports(table.rows, **settings))


def _table_part(config: RunConfig) -> PredictorConfig:
    check_kind(config.predictor)
    return config.predictor


def _table_fingerprint(config: PredictorConfig) -> dict[str, str]:
    return {"table": sha256_of(_table_of(config)), **base_fingerprint(config)}


def _table_of(config: PredictorConfig) -> Path:
    assert config.table is not None, "there is no such stage without a table"
    path = Path(config.table)
    if not path.is_file():
        hint = "Name a table.jsonl that `profile` wrote, or a published latency table (.csv, .csv.gz)"
        raise DataError("there is no such file", file=path, key="predictor.table", hint=hint)
    return path


def _run_table(config: PredictorConfig, inputs: Inputs, out: Path) -> None:
    table, base = Learnable.read(_table_of(config)), read_base(config, inputs.seed)
    predictor, fit = learn(table, config, inputs.seed, base)
    from automoe.report import draw_all

    for name, drawing in draw_all(predictor_shown(fit)).items():
        write_atomically(out / name, drawing)
    write_fit(out, predictor, fit)
    _warn(fit["warnings"])


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print(f"predictor: warning: {warning}", file=sys.stderr, flush=True)


def _missing_extremes(space: SearchSpace, table: MeasuredTable) -> list[str]:
    """Says which ends of the space a recorded table lacks: between them a predictor need not extrapolate."""
    measured = {row.digest for row in table.rows}
    ends = {"largest": space.largest(), "smallest": space.smallest()}
    return [
        f"the table lacks the {name} architecture of the space ({arch.digest}): what is predicted near it is a guess"
        for name, arch in ends.items()
        if arch.digest not in measured
    ]


def _beyond_measured(space: SearchSpace, predictor: CalibratedPredictor, seed: int) -> list[str]:
    """Says so if much of the space lies beyond what was measured, and in which features."""
    rng = np.random.default_rng([seed, zlib.crc32(b"beyond measured"), 0])
    codec = GenomeCodec(space)
    outside = [names for names in predictor.outside(codec.decode_all(codec.sample(_SAMPLES, rng))) if names]
    share = len(outside) / _SAMPLES
    if share <= _MOST_OUTSIDE:
        return []
    often = Counter(name for names in outside for name in names).most_common(3)
    return [
        f"{100 * share:.0f} % of the space lie beyond what was measured (most often in "
        f"{', '.join(name for name, _ in often)}): measure more of it (profile.architectures)"
    ]


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
        minima[LATENCY] = Estimate(*fastest.bounds())
    return {
        "minima": {cost: list(estimate) for cost, estimate in minima.items()},
        "largest": model.exact(space.largest()) | {LATENCY: latency_of_largest(space.largest(), table, model)},
        "begins": space_begins(space),
    }


def latency_of_largest(largest: Architecture, table: MeasuredTable, model: CostModel) -> float:
    """Measured, since `profile` begins with it; predicted where a recorded table lacks it. Milliseconds."""
    measured = [row.latency_ms for row in table.rows if row.digest == largest.digest]
    return measured[0] if measured else float(model([largest])[LATENCY].mean_N[0])


PREDICTOR = Stage(
    name="predictor",
    run=_run,
    part=_part,
    needs=("data", "profile"),
    fingerprint=lambda part: base_fingerprint(part.predictor),
    version=2,
)
PREDICTOR_OF_TABLE = Stage(name="predictor", run=_run_table, part=_table_part, fingerprint=_table_fingerprint)
"""The same for a table that `predictor.table` names."""
