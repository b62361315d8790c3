"""Stage `select`: the budget chooses the best sub-transformer that keeps it.

It holds `selection.json`. Where too few evaluated sub-transformers lie just below the budget, it goes on searching in
a copy of the archive, `archive.jsonl`; where a predicted latency is doubtful, it measures, in a copy of the measured
table, `table.jsonl`. What finished stages hold never changes.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automoe.data import PreparedData
from automoe.files import write_atomically, write_json
from automoe.latency import TABLE_FILE, Measurement, ProfileConfig, Profiler, TableWriter
from automoe.pipeline.config import RunConfig
from automoe.pipeline.files import BOUNDS, PREDICTOR_FILE, SELECTION
from automoe.pipeline.measuring import Bench
from automoe.pipeline.search import SearchPart, evaluations, searching, shown_on, warn_if_torn
from automoe.pipeline.spaces import searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.search import (
    ARCHIVE,
    Archive,
    Estimate,
    Limit,
    Record,
    ResolvedLimit,
    SelectConfig,
    check_feasible,
    parse_budget,
    read_archive,
    resolve,
    run_focused,
    select,
)
from automoe.space import Architecture


@dataclass(frozen=True, kw_only=True)
class SelectPart(SearchPart):
    """What the choice depends on beside data, supernet, measured table, predictor and archive."""

    select: SelectConfig
    budget: tuple[Limit, ...]
    profile: ProfileConfig


def _part(config: RunConfig) -> SelectPart:
    return SelectPart(
        space=searched_part(config),
        pre_norm=config.model.pre_norm,
        search=config.search,
        select=config.select,
        budget=parse_budget(config.budget),
        profile=config.profile,
    )


def _run(part: SelectPart, inputs: Inputs, out: Path) -> None:
    limits = _feasible_limits(part, inputs["predictor"])
    measuring = _Measuring(part, inputs, out) if part.profile.table is None else None
    searching_on = _SearchingOn(part, inputs, limits, out)
    found = read_archive(inputs["search"] / ARCHIVE)
    selection = select(
        found.records,
        limits,
        part.select,
        measure=None if measuring is None else measuring.measure,
        continue_search=searching_on.evaluate,
    )
    for reason in selection.reasons:
        print(reason, file=sys.stderr, flush=True)
    write_json(out / SELECTION, selection.to_dict())


def _feasible_limits(part: SelectPart, predictor: Path) -> tuple[ResolvedLimit, ...]:
    """The budget in the units of its costs; refused here and at once if nothing in the space can keep it."""
    bounds: Mapping[str, Any] = json.loads((predictor / BOUNDS).read_bytes())
    coverage = json.loads((predictor / PREDICTOR_FILE).read_bytes())["coverage"]
    limits = resolve(part.budget, bounds["largest"], coverage=coverage)
    minima = {limit.cost: limit.lower(Estimate(*bounds["minima"][limit.cost])) for limit in limits}
    check_feasible(limits, {cost: (least, bounds["begins"]) for cost, least in minima.items()}, part.space.space.name)
    return limits


class _Measuring:
    """Measures on demand; each measurement is on the disk before the next."""

    def __init__(self, part: SelectPart, inputs: Inputs, out: Path) -> None:
        self._part, self._inputs, self._out = part, inputs, out
        self._profiler: Profiler | None = None
        self._bench: Bench | None = None
        self._writer: TableWriter | None = None

    def measure(self, arch: Architecture) -> tuple[float, float, float]:
        """Latency with inherited weights: the median, and what it may be off by, in milliseconds per sentence."""
        bench, writer, profiler = self._opened()
        row = next((row for row in writer.rows if row.digest == arch.digest), None)
        if row is None:
            row = profiler.measure(arch, bench.loads(arch))
            writer.append(row)
        return bounds_of_median(row)

    def _opened(self) -> tuple[Bench, TableWriter, Profiler]:
        if self._bench is None or self._writer is None or self._profiler is None:
            table = self._out / TABLE_FILE
            if not table.exists():
                write_atomically(table, (self._inputs["profile"] / TABLE_FILE).read_bytes())
            supernet, prepared = trained_model(self._inputs["supernet"]), PreparedData.open(self._inputs["data"])
            self._bench = Bench(supernet, prepared, self._part.space.space, self._part.profile, self._out)
            self._writer = TableWriter(table, self._bench.header)
            self._profiler = self._bench.profiler(self._writer.baseline_ms)
        return self._bench, self._writer, self._profiler


def bounds_of_median(row: Measurement) -> tuple[float, float, float]:
    """A measured median, and its bounds: the passes lie between `low_ms` and `high_ms`, their median much closer."""
    root = math.sqrt(row.repeats)
    median = row.latency_ms
    return median, median - (median - row.low_ms) / root, median + (row.high_ms - median) / root


class _SearchingOn:
    """Continues a finished search below the budget, in a copy of its archive."""

    def __init__(self, part: SelectPart, inputs: Inputs, limits: tuple[ResolvedLimit, ...], out: Path) -> None:
        self._part, self._inputs, self._limits, self._out = part, inputs, limits, out

    def evaluate(self, num: int) -> Sequence[Record]:
        """Evaluates so many further sub-transformers; returns all there are."""
        part, path = self._part, self._out / ARCHIVE
        searched = read_archive(self._inputs["search"] / ARCHIVE)
        if not path.exists():
            searched.copy_to(path)
        archive = Archive.open(path, searched.header)
        warn_if_torn(archive)
        evaluator, model = searching(part, self._inputs)
        with evaluations(len(searched) + num, len(archive)) as progress:
            run_focused(
                model.codec,
                part.search,
                self._inputs.seed,
                archive,
                evaluator.loss,
                model,
                self._limits,
                evaluations=num,
                near_ratio=part.select.near_ratio,
                on_progress=shown_on(progress),
            )
        return archive.records


def chosen_architecture(folder: Path) -> Architecture:
    """The architecture that the finished stage chose."""
    selection: Mapping[str, Any] = json.loads((folder / SELECTION).read_bytes())
    return Architecture.from_dict(selection["architecture"])


SELECT = Stage(name="select", run=_run, part=_part, needs=("data", "supernet", "profile", "predictor", "search"))
