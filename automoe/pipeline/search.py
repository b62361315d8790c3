"""Stage `search`: evaluates sub-transformers that a searcher proposes. It knows no budget but `search.within`.

It holds `archive.jsonl`: every evaluated sub-transformer with its validation loss under inherited weights and its
costs. It holds no times, so a killed search ends with the same bytes as an undisturbed one. Where there are enough of
them, `quality.json` says how well the quality predictor guesses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automoe.data import PreparedData
from automoe.errors import ConfigError
from automoe.files import write_json
from automoe.pipeline.budget import feasible_limits
from automoe.pipeline.config import RunConfig, SearchSection
from automoe.pipeline.costing import cost_model
from automoe.pipeline.files import QUALITY_FIT
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.pipeline.workers import pool_for
from automoe.predictor import FittedRegressor, fit_report, make_predictor
from automoe.progress import Progress
from automoe.search import (
    ARCHIVE,
    COSTS,
    LATENCY,
    Archive,
    ArchiveHeader,
    Evaluator,
    Problem,
    Quality,
    Record,
    Remembering,
    known_qualities,
    make_searcher,
    parse_budget,
    run_search,
)
from automoe.search.costs import shown_cost
from automoe.search.record import quality_of
from automoe.search.searchers.tight_limits import nearest_to_limits
from automoe.space import Architecture
from automoe.supernet.evaluator import SupernetEvaluator, validation_batches, validation_texts

_EVALUATOR = 1
"""Raised when the same weights and sentences are scored otherwise, so that no older value is taken over."""
_ROWS_FOR_REPORT = 10
_FOLDS = 10


@dataclass(frozen=True, kw_only=True)
class SearchPart:
    """What the search depends on beside data, supernet and predictor."""

    space: SpacePart
    pre_norm: bool
    search: SearchSection


def _part(config: RunConfig) -> SearchPart:
    return SearchPart(space=searched_part(config), pre_norm=config.model.pre_norm, search=config.search)


def _run(part: SearchPart, inputs: Inputs, out: Path) -> None:
    config = part.search
    problem = problem_of(part, inputs)
    header = ArchiveHeader(
        space=part.space.space.digest,
        space_name=part.space.space.name,
        costs=tuple(COSTS),
        context=context_of(part, inputs),
    )
    archive = Archive.open(out / ARCHIVE, header)
    warn_if_torn(archive)
    searcher = make_searcher(config.searcher, problem, config.options, inputs.seed)
    known = known_qualities(other_archives(out), header.context, needs_bleu="bleu" in config.objectives)
    with (
        pool_for(config, partial(evaluator_of, part, inputs), out, header.context) as pool,
        evaluations(config.evaluations, len(archive)) as progress,
    ):
        outcome = run_search(
            searcher,
            problem,
            archive,
            Remembering(pool, known),
            evaluations=config.evaluations,
            asynchronous=config.asynchronous,
            on_progress=shown_on(progress),
        )
    if not len(archive) and problem.limits:
        raise _nothing_within(problem)
    if outcome.exhausted:
        print(outcome.message, file=sys.stderr, flush=True)
    _report_quality(config, problem, archive, inputs.seed, out)


def problem_of(part: SearchPart, inputs: Inputs) -> Problem:
    """What is searched for: in the space, with the predicted costs, within `search.within`.

    Raises:
        ConfigError: nothing in the space can keep `search.within`.
    """
    config, space = part.search, part.space.space
    vocab_size = PreparedData.open(inputs["data"]).summary.vocab_size
    model = cost_model(inputs["predictor"], space, vocab_size=vocab_size, pre_norm=part.pre_norm)
    limits = () if config.within is None else parse_budget(config.within, "search.within")
    kind = config.quality_predictor
    return Problem(
        codec=model.codec,
        predict_costs=model,
        objectives=config.objectives,
        limits=feasible_limits(limits, space, inputs["predictor"]) if limits else (),
        fit_quality=None if kind is None else partial(FittedRegressor.fit, kind),
        screen=config.screen,
    )


def evaluator_of(part: SearchPart, inputs: Inputs) -> Evaluator:
    """How good sub-transformers are with inherited weights, on the validation sentences of the search."""
    torch.set_num_threads(1)  # sums in another order differ in the last bits, and the archive is compared bit by bit
    prepared = PreparedData.open(inputs["data"])
    limit = part.search.sentences
    with_bleu = "bleu" in part.search.objectives
    evaluator = SupernetEvaluator(
        trained_model(inputs["supernet"]),
        validation_batches(prepared, limit=limit),
        validation_texts(prepared, limit=limit) if with_bleu else None,
    )
    return lambda arch: Quality(evaluator.loss(arch), evaluator.bleu(arch) if with_bleu else None)


def context_of(part: SearchPart, inputs: Inputs) -> dict[str, Any]:
    """What an archive's values depend on: the folders of the inputs, and the sentences."""
    folders = {name: folder.name for name, folder in inputs.folders.items()}
    return {**folders, "sentences": part.search.sentences, "evaluator": _EVALUATOR}


def evaluations(total: int, done: int) -> Progress:
    """Progress of a search that evaluates `total` architectures."""
    return Progress("searching", total=total, unit="sub-transformer", done=done)


def shown_on(progress: Progress) -> Callable[[Record], None]:
    """Tells of every evaluated architecture."""

    def show(record: Record) -> None:
        bleu = "" if record.bleu is None else f", {record.bleu:.1f} BLEU"
        progress.advance(note=f"loss {record.loss:.3f}{bleu}, {record.costs[LATENCY].mean:.1f} ms")

    return show


def warn_if_torn(archive: Archive) -> None:
    """Says that a line was lost when an earlier process was killed; the search evaluates it again."""
    if archive.torn:
        line = len(archive) + 2
        print(f"{archive.path}:{line}: the torn last line was dropped; it is evaluated again", file=sys.stderr)


def other_archives(out: Path) -> list[Path]:
    """The archives of this run beside the one in `out`: of searches and of choices that searched on, finished or not.

    Args:
        out: the folder that a stage makes: RUN/STAGE/HASH.
    """
    found = [path for stage in ("search", "select") for path in out.parents[1].glob(f"{stage}/*/{ARCHIVE}")]
    return sorted(path for path in found if path.parent != out and not path.parent.is_symlink())


def _nothing_within(problem: Problem) -> ConfigError:
    """The refusal of a search that found nothing within `search.within`: what comes nearest, and what would do."""
    genome_G, _ = nearest_to_limits(problem)
    arch = problem.codec.decode(genome_G)
    (costs,) = problem.estimates([arch])
    broken = [limit for limit in problem.limits if limit.upper(costs[limit.cost]) > limit.max]
    if not broken:
        return ConfigError(
            "search.searcher",
            problem="proposed nothing, although there are architectures that keep search.within",
            hint="Take another searcher",
        )
    takes, enough = [], []
    for limit in broken:
        bound = limit.upper(costs[limit.cost])
        at_quantile = f" (upper {100 * limit.quantile:g} % bound)" if limit.cost == LATENCY else ""
        takes.append(f"{shown_cost(limit.cost, bound)}{at_quantile}, where {limit.max:.4g} is allowed")
        enough.append(f"{limit.key} to {limit.raised_to(bound)}")
    return ConfigError(
        broken[0].key,
        broken[0].given,
        f"no architecture was found whose predicted costs keep it: the nearest, {arch.digest}, takes "
        f"{' and '.join(takes)}",
        hint=f"Raise {' and '.join(enough)} or more, or widen the space",
    )


def _report_quality(config: SearchSection, problem: Problem, archive: Archive, seed: int, out: Path) -> None:
    """How well the quality predictor guesses what it has not seen; the interface and report of latency."""
    kind, qualities = config.quality_predictor, problem.qualities
    if kind is None or not qualities or len(archive) < _ROWS_FOR_REPORT:
        return
    archs: list[Architecture] = [record.arch for record in archive.records]
    value_N = np.array([quality_of(record, qualities[0]) for record in archive.records])
    if np.ptp(value_N) == 0 or value_N.min() <= 0:
        return
    report = fit_report(lambda: make_predictor(kind, folds=_FOLDS, seed=seed), archs, value_N, _FOLDS, seed)
    form: Mapping[str, Any] = {"kind": kind, "quality": qualities[0], "report": report.to_dict()}
    write_json(out / QUALITY_FIT, form)


SEARCH = Stage(name="search", run=_run, part=_part, needs=("data", "supernet", "predictor"), version=2)
