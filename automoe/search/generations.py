"""The loop of a search: plan a generation, evaluate what is not in the archive yet, go on.

A plan depends on the seed, the generation's number and the archive before it, and on nothing else. So a search that
was killed plans its unfinished generation again, finds the part of it that was evaluated, and ends like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from automoe.errors import AutoMoEError
from automoe.search.archive import Archive
from automoe.search.evaluator import CostPredictor, Evaluator, estimates_of
from automoe.search.offspring import Candidate
from automoe.search.record import Record

Plan = Callable[[int, Sequence[Record], int], list[Candidate]]
"""(generation, records before it, most that it may hold) -> different candidates, none of which is in the records."""
OnProgress = Callable[[Record], None]
"""Hears of every record as it is evaluated."""


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """How a search ended."""

    evaluated: int
    """Architectures in the archive."""
    exhausted: bool
    """Whether it ended early because no unseen architecture was found."""
    message: str
    """The same in words."""


def run_generations(
    archive: Archive,
    plan: Plan,
    *,
    first: int,
    target: int,
    evaluate: Evaluator,
    predict_costs: CostPredictor,
    on_progress: OnProgress | None = None,
) -> SearchOutcome:
    """Plans and evaluates generations until the archive holds `target` architectures or the plan is empty.

    Args:
        archive: is added to, architecture by architecture.
        plan: makes the generations.
        first: number of the first generation that is planned; the archive holds all before it.
        target: records at which it ends.

    Raises:
        AutoMoEError: the archive holds something else than was planned, or a loss is not a number.
    """
    generation = max([first, *(record.generation for record in archive.records)])
    while True:
        before = [record for record in archive.records if record.generation < generation]
        if len(before) >= target:
            return SearchOutcome(
                evaluated=len(archive), exhausted=False, message=f"{len(archive)} architectures were evaluated"
            )
        candidates = plan(generation, before, target - len(before))
        if not candidates:
            message = (
                f"the search space is exhausted: no architecture was found beyond the {len(archive)} evaluated ones"
            )
            return SearchOutcome(evaluated=len(archive), exhausted=True, message=message)
        _evaluate(archive, generation, len(before), candidates, evaluate, predict_costs, on_progress)
        generation += 1


def _evaluate(
    archive: Archive,
    generation: int,
    begin: int,
    candidates: Sequence[Candidate],
    evaluate: Evaluator,
    predict_costs: CostPredictor,
    on_progress: OnProgress | None,
) -> None:
    """Evaluates the candidates that are not in the archive; their records begin at the index `begin`."""
    # Predicted all at once, also after a restart: a prediction's last bits may depend on what else is in its batch.
    costs = estimates_of(predict_costs([candidate.arch for candidate in candidates]), len(candidates))
    done = archive.records[begin:]
    for index, (candidate, estimates) in enumerate(zip(candidates, costs, strict=True), start=begin):
        digest = candidate.arch.digest
        if index < begin + len(done):
            if (digest, candidate.how) != (done[index - begin].digest, done[index - begin].how):
                raise _foreign(archive, index)
            continue
        loss = float(evaluate(candidate.arch))
        if not math.isfinite(loss):
            hint = "Its weights diverged in training: train with a lower learning rate"
            raise AutoMoEError("is not a number", key=f"loss of architecture {digest}", value=loss, hint=hint)
        record = Record(
            index=index, digest=digest, arch=candidate.arch, loss=loss, costs=estimates, generation=generation,
            how=candidate.how,
        )  # fmt: skip
        archive.add(record)
        if on_progress is not None:
            on_progress(record)


def _foreign(archive: Archive, index: int) -> AutoMoEError:
    return AutoMoEError(
        "was not made by this search: the seed, the settings or the predicted costs were others",
        file=archive.path,
        line=index + 2,
        hint="Begin another archive",
    )
