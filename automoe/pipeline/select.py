"""Stage `select`: the budget chooses the best sub-transformer that keeps it.

It holds `selection.json`. Where too few evaluated sub-transformers lie just below the budget, it goes on searching in
a copy of the archive, `archive.jsonl`; where a predicted latency is doubtful, it measures, in a copy of the measured
table, `table.jsonl`. What finished stages hold never changes. `rounds.json` says where each going on ended.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from automoe.data import PreparedData
from automoe.files import read_json, write_atomically, write_json
from automoe.latency import TABLE_FILE, MeasuredTable, ProfileConfig, Profiler, TableWriter, read_table
from automoe.pipeline.budget import feasible_limits
from automoe.pipeline.config import RunConfig
from automoe.pipeline.costing import cost_model
from automoe.pipeline.files import PREDICTOR_FILE, SELECTION
from automoe.pipeline.measuring import Bench, check_measurable, what_is_asked
from automoe.pipeline.search import (
    SearchPart,
    evaluations,
    evaluator_of,
    other_archives,
    problem_of,
    shown_on,
    warn_if_torn,
)
from automoe.pipeline.spaces import searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.pipeline.workers import pool_for
from automoe.predictor import predictor_from_dict
from automoe.search import (
    ARCHIVE,
    Archive,
    Estimate,
    Interval,
    Limit,
    Record,
    Remembering,
    ResolvedLimit,
    SelectConfig,
    known_qualities,
    parse_budget,
    read_archive,
    run_search,
    select,
)
from automoe.search.evaluator import estimates_of
from automoe.search.problem import first_quality
from automoe.search.searchers.focused import FocusedOptions, FocusedSearch
from automoe.search.select import below_margin
from automoe.space import Architecture

_ROUNDS = "rounds.json"


@dataclass(frozen=True, kw_only=True)
class SelectPart(SearchPart):
    """What the choice depends on beside data, supernet, measured table, predictor and archive."""

    select: SelectConfig
    budget: tuple[Limit, ...]
    profile: ProfileConfig
    beam: int

    @property
    def quality(self) -> str:
        """What is best: see `first_quality`."""
        return first_quality(self.search.objectives)


def _part(config: RunConfig) -> SelectPart:
    return SelectPart(
        space=searched_part(config),
        pre_norm=config.model.pre_norm,
        search=config.search,
        select=config.select,
        budget=tuple(sorted(parse_budget(config.budget), key=lambda limit: limit.cost)),  # their order means nothing
        profile=what_is_asked(config.profile),
        beam=config.decoding.beam,
    )


def _check(part: SelectPart) -> None:
    if part.profile.table is None:  # otherwise nothing is measured
        check_measurable(part.profile)


def _run(part: SelectPart, inputs: Inputs, out: Path) -> None:
    limits = feasible_limits(part.budget, part.space.space, inputs["predictor"])
    measured = read_table(inputs["profile"] / TABLE_FILE)
    model = RefittedCosts(part, inputs, measured)
    measuring = _Measuring(part, inputs, measured, out) if part.profile.table is None else None
    searching_on = _SearchingOn(part, inputs, below_margin(limits, part.select.latency_margin), out, model)
    found = read_archive(inputs["search"] / ARCHIVE)
    selection = select(
        found.records,
        limits,
        part.select,
        measure=None if measuring is None else measuring.measure,
        continue_search=searching_on.evaluate,
        known={row.digest: Estimate(*row.bounds()) for row in measured.rows},
        refit=model.refit,
        quality=part.quality,
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
        return row.bounds()

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


class RefittedCosts:
    """The costs of sub-transformers, latency by a predictor that learns from what is measured on the way."""

    def __init__(self, part: SelectPart, inputs: Inputs, measured: MeasuredTable) -> None:
        self._predictor = predictor_from_dict(read_json(inputs["predictor"] / PREDICTOR_FILE))
        self._measured = measured
        vocab_size = PreparedData.open(inputs["data"]).summary.vocab_size
        self._model = cost_model(inputs["predictor"], part.space.space, vocab_size=vocab_size, pre_norm=part.pre_norm)

    def __call__(self, archs: Sequence[Architecture], /) -> Mapping[str, Interval]:
        """All costs by name; see `search.CostPredictor`."""
        return self._model(archs)

    def refit(self, latencies: Mapping[str, Estimate], records: Sequence[Record]) -> list[Record]:
        """Learns the measured table and these latencies; the records with their costs predicted anew."""
        values = {row.arch: row.latency_ms for row in self._measured.rows}
        values |= {record.arch: latencies[record.digest].mean for record in records if record.digest in latencies}
        predictor = self._predictor.anew()
        predictor.fit(list(values), list(values.values()))
        self._model = self._model.with_predictor(predictor)
        costs = estimates_of(self._model([record.arch for record in records]), len(records))
        return [replace(record, costs=each) for record, each in zip(records, costs, strict=True)]


class _SearchingOn:
    """Continues a finished search below the budget, in a copy of its archive.

    It evaluates in as many processes as the search; `automoe worker` joins searches only.
    """

    def __init__(
        self, part: SelectPart, inputs: Inputs, limits: tuple[ResolvedLimit, ...], out: Path, model: RefittedCosts
    ) -> None:
        self._part, self._inputs, self._limits, self._out = part, inputs, limits, out
        self._problem = replace(problem_of(part, inputs), predict_costs=model)
        self._searched = read_archive(inputs["search"] / ARCHIVE)
        self._round = 0

    def evaluate(self, num: int, known: Sequence[Record]) -> Sequence[Record]:
        """Evaluates up to so many further sub-transformers.

        Args:
            num: how many.
            known: what was evaluated before, with the costs that are known now.

        Returns:
            All records, in the order of their evaluation.
        """
        archive = self._opened()
        ends = read_json(self._out / _ROUNDS) if (self._out / _ROUNDS).exists() else []
        if self._round == len(ends):  # a round that ended before the process was killed is not looked at again
            self._search(archive, num, known)
            ends = [*ends, len(archive)]
            write_json(self._out / _ROUNDS, ends)
        self._round += 1
        return archive.records[: ends[self._round - 1]]

    def _opened(self) -> Archive:
        path = self._out / ARCHIVE
        if not path.exists():
            self._searched.copy_to(path)
        archive = Archive.open(path, self._searched.header)
        warn_if_torn(archive)
        return archive

    def _search(self, archive: Archive, num: int, known: Sequence[Record]) -> None:
        """Adds up to `num` records to the archive, which begins with what is known."""
        part, context = self._part, archive.header.context
        elsewhere = known_qualities(other_archives(self._out), context, needs_bleu="bleu" in part.search.objectives)
        # Nobody joins from elsewhere, so there is no place to meet either.
        section = replace(part.search, workers=max(1, part.search.workers), storage=None)
        target = len(known) + num
        with (
            pool_for(section, partial(evaluator_of, part, self._inputs), self._out, context) as pool,
            evaluations(target, len(archive)) as progress,
        ):
            outcome = run_search(
                FocusedSearch(self._problem, _focus(part), self._inputs.seed, self._limits),
                self._problem,
                archive,
                Remembering(pool, elsewhere),
                evaluations=target,
                given=known,
                on_progress=shown_on(progress),
            )
        if outcome.exhausted:
            print(outcome.message, file=sys.stderr, flush=True)


def _focus(part: SelectPart) -> FocusedOptions:
    return FocusedOptions(near_ratio=part.select.near_ratio)


def chosen_architecture(folder: Path) -> Architecture:
    """The architecture that the finished stage chose."""
    selection: Mapping[str, Any] = read_json(folder / SELECTION)
    return Architecture.from_dict(selection["architecture"])


SELECT = Stage(
    name="select",
    run=_run,
    part=_part,
    needs=("data", "supernet", "profile", "predictor", "search"),
    check=_check,
)
