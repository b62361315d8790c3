"""Stage `select`: the budget chooses the best sub-transformer that keeps it.

It holds `selection.json`. Where too few evaluated sub-transformers lie just below the budget, it goes on searching in
a copy of the archive, `archive.jsonl`; where a predicted latency is doubtful, it measures, in a copy of the measured
table, `table.jsonl`. What finished stages hold never changes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from automoe.data import PreparedData
from automoe.files import read_json, write_atomically, write_json
from automoe.latency import TABLE_FILE, MeasuredTable, Measurement, ProfileConfig, Profiler, TableWriter, read_table
from automoe.pipeline.budget import feasible_limits
from automoe.pipeline.config import RunConfig
from automoe.pipeline.files import SELECTION
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
    parse_budget,
    read_archive,
    run_focused,
    select,
)
from automoe.space import Architecture

_BETWEEN_SESSIONS = 0.02
"""Share by which two measurements of one model differ that were made at different times (seen: 0 to 2 %)."""


@dataclass(frozen=True, kw_only=True)
class SelectPart(SearchPart):
    """What the choice depends on beside data, supernet, measured table, predictor and archive."""

    select: SelectConfig
    budget: tuple[Limit, ...]
    profile: ProfileConfig
    beam: int


def _part(config: RunConfig) -> SelectPart:
    return SelectPart(
        space=searched_part(config),
        pre_norm=config.model.pre_norm,
        search=config.search,
        select=config.select,
        budget=tuple(sorted(parse_budget(config.budget), key=lambda limit: limit.cost)),  # their order means nothing
        profile=config.profile,
        beam=config.decoding.beam,
    )


def _run(part: SelectPart, inputs: Inputs, out: Path) -> None:
    limits = feasible_limits(part.budget, part.space.space, inputs["predictor"])
    measured = read_table(inputs["profile"] / TABLE_FILE)
    measuring = _Measuring(part, inputs, measured, out) if part.profile.table is None else None
    searching_on = _SearchingOn(part, inputs, limits, out)
    found = read_archive(inputs["search"] / ARCHIVE)
    selection = select(
        found.records,
        limits,
        part.select,
        measure=None if measuring is None else measuring.measure,
        continue_search=searching_on.evaluate,
        known={row.digest: Estimate(*bounds_of_median(row)) for row in measured.rows},
    )
    for reason in selection.reasons:
        print(reason, file=sys.stderr, flush=True)
    write_json(out / SELECTION, selection.to_dict())


class _Measuring:
    """Measures on demand; each measurement is on the disk before the next."""

    def __init__(self, part: SelectPart, inputs: Inputs, measured: MeasuredTable, out: Path) -> None:
        self._part, self._inputs, self._out = part, inputs, out
        self._measured = measured
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
                write_atomically(table, self._measured.path.read_bytes())
            supernet, prepared = trained_model(self._inputs["supernet"]), PreparedData.open(self._inputs["data"])
            part = self._part
            self._bench = Bench(supernet, prepared, part.space.space, part.profile, part.beam, self._out)
            # On another machine, ratios to the reference are scaled to that of the table, as in `evaluate`.
            header = replace(self._bench.header, machine=self._measured.header.machine)
            self._writer = TableWriter(table, header)
            self._profiler = self._bench.profiler(self._writer.baseline_ms)
        return self._bench, self._writer, self._profiler


def bounds_of_median(row: Measurement) -> tuple[float, float, float]:
    """A measured latency and the bounds of what another measurement would find, in milliseconds per sentence.

    The passes lie between `low_ms` and `high_ms`, their median much closer; another session differs besides.
    """
    root, median = math.sqrt(row.repeats), row.latency_ms
    between = _BETWEEN_SESSIONS * median
    return median, median - (median - row.low_ms) / root - between, median + (row.high_ms - median) / root + between


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
    selection: Mapping[str, Any] = read_json(folder / SELECTION)
    return Architecture.from_dict(selection["architecture"])


SELECT = Stage(name="select", run=_run, part=_part, needs=("data", "supernet", "profile", "predictor", "search"))
