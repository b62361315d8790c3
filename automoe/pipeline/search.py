"""Stage `search`: evolution over the front of quality against costs. It knows no budget.

It holds `archive.jsonl`: every evaluated sub-transformer with its validation loss under inherited weights and its
costs. It holds no times, so a killed search ends with the same bytes as an undisturbed one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from automoe.data import PreparedData
from automoe.pipeline.config import RunConfig, SearchSection
from automoe.pipeline.costing import CostModel, cost_model
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.progress import Progress
from automoe.search import ARCHIVE, COSTS, LATENCY, Archive, ArchiveHeader, Record, run_evolution
from automoe.supernet.evaluator import SupernetEvaluator, validation_batches


@dataclass(frozen=True, kw_only=True)
class SearchPart:
    """What the search depends on beside data, supernet and predictor."""

    space: SpacePart
    pre_norm: bool
    search: SearchSection


def _part(config: RunConfig) -> SearchPart:
    return SearchPart(space=searched_part(config), pre_norm=config.model.pre_norm, search=config.search)


def _run(part: SearchPart, inputs: Inputs, out: Path) -> None:
    evaluator, model = searching(part, inputs)
    header = ArchiveHeader(
        space=part.space.space.digest,
        space_name=part.space.space.name,
        costs=tuple(COSTS),
        context={name: folder.name for name, folder in inputs.folders.items()},
    )
    archive = Archive.open(out / ARCHIVE, header)
    warn_if_torn(archive)
    with evaluations(part.search.evaluations, len(archive)) as progress:
        outcome = run_evolution(
            model.codec, part.search, inputs.seed, archive, evaluator.loss, model, shown_on(progress)
        )
    if outcome.exhausted:
        print(outcome.message, file=sys.stderr, flush=True)


def searching(part: SearchPart, inputs: Inputs) -> tuple[SupernetEvaluator, CostModel]:
    """What a search is handed: how good architectures are and what they cost."""
    torch.set_num_threads(1)  # sums in another order differ in the last bits, and the archive is compared bit by bit
    prepared = PreparedData.open(inputs["data"])
    batches = validation_batches(prepared, limit=part.search.sentences)
    evaluator = SupernetEvaluator(trained_model(inputs["supernet"]), batches)
    vocab_size = prepared.summary.vocab_size
    model = cost_model(inputs["predictor"], part.space.space, vocab_size=vocab_size, pre_norm=part.pre_norm)
    return evaluator, model


def evaluations(total: int, done: int) -> Progress:
    """Progress of a search that evaluates `total` architectures."""
    return Progress("searching", total=total, unit="sub-transformer", done=done)


def shown_on(progress: Progress) -> Callable[[Record], None]:
    """Tells of every evaluated architecture."""

    def show(record: Record) -> None:
        progress.advance(note=f"loss {record.loss:.3f}, {record.costs[LATENCY].mean:.1f} ms")

    return show


def warn_if_torn(archive: Archive) -> None:
    """Says that a line was lost when an earlier process was killed; the search evaluates it again."""
    if archive.torn:
        line = len(archive) + 2
        print(f"{archive.path}:{line}: the torn last line was dropped; it is evaluated again", file=sys.stderr)


SEARCH = Stage(name="search", run=_run, part=_part, needs=("data", "supernet", "predictor"))
