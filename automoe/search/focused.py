"""Goes on with a search just below a budget, where too few architectures were evaluated."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from automoe.search.archive import Archive
from automoe.search.budget import ResolvedLimit, used_share
from automoe.search.config import EvolutionConfig, SelectConfig
from automoe.search.dominance import non_dominated_sort
from automoe.search.evaluator import CostPredictor, Evaluator, estimates_of
from automoe.search.generations import OnProgress, SearchOutcome, run_generations
from automoe.search.offspring import Candidate, genomes_of, unseen_children, unseen_samples
from automoe.search.record import Record
from automoe.search.surrogate import guess_losses
from automoe.space import GenomeCodec

_STAGE = zlib.crc32(b"select")
_POOL = 32
"""Children whose costs are predicted, for each that is evaluated."""


def run_focused(
    codec: GenomeCodec,
    config: EvolutionConfig,
    seed: int,
    archive: Archive,
    evaluate: Evaluator,
    predict_costs: CostPredictor,
    limits: Sequence[ResolvedLimit],
    *,
    evaluations: int,
    near_ratio: float = SelectConfig.near_ratio,
    on_progress: OnProgress | None = None,
) -> SearchOutcome:
    """Adds `evaluations` architectures to a copy of a finished archive, as many as can be just below the budget.

    Parents are the records near the budget that few others beat; of many children those are evaluated whose predicted
    costs use between `near_ratio` and all of the budget, the lowest guessed loss first.
    Like `run_evolution` it can be killed and run again.

    Args:
        archive: a copy of the search's archive, perhaps with what an earlier call added.
        limits: the budget.
        evaluations: how many are added in all; more than this are not, whatever an earlier call had to add.

    Raises:
        AutoMoEError: the archive is of another search, or a loss is not a number.
    """
    searched = [record for record in archive.records if record.how != "focus"]

    def plan(generation: int, before: Sequence[Record], room: int) -> list[Candidate]:
        size = min(math.ceil(config.population / 2), room)
        rng = np.random.default_rng([seed, _STAGE, generation])
        pool = _pool(codec, config, before, limits, _POOL * size, rng)
        costs = estimates_of(predict_costs([candidate.arch for candidate in pool]), len(pool)) if pool else []
        away = [_distance(used_share(estimates, limits), near_ratio) for estimates in costs]
        guess_N = guess_losses(codec, before, [candidate.arch for candidate in pool])
        order = sorted(range(len(pool)), key=lambda index: (away[index], guess_N[index]))
        return [Candidate(pool[index].arch, "focus") for index in order[:size]]

    return run_generations(
        archive,
        plan,
        first=max((record.generation for record in searched), default=-1) + 1,
        target=len(searched) + evaluations,
        evaluate=evaluate,
        predict_costs=predict_costs,
        on_progress=on_progress,
    )


def _pool(
    codec: GenomeCodec,
    config: EvolutionConfig,
    before: Sequence[Record],
    limits: Sequence[ResolvedLimit],
    count: int,
    rng: np.random.Generator,
) -> list[Candidate]:
    """Unseen children of parents near the budget; samples where they have too few."""
    seen = genomes_of(codec, before)
    children = unseen_children(codec, _parents(before, limits, config.parents), config, seen, count, rng)
    seen |= {codec.encode(child.arch).tobytes() for child in children}
    return children + unseen_samples(codec, seen, count - len(children), rng)


def _parents(records: Sequence[Record], limits: Sequence[ResolvedLimit], count: int) -> list[Record]:
    """Of the two best fronts of loss against the budget's use, the records whose use is nearest to all of it.

    Those just above the budget are parents too: a smaller child of a good one may keep it.
    """
    use_N = [used_share(record.costs, limits) for record in records]
    front_N = non_dominated_sort(np.array([[record.loss, use] for record, use in zip(records, use_N, strict=True)]))
    order = sorted(range(len(records)), key=lambda index: (front_N[index] > 1, abs(math.log(use_N[index]))))
    return [records[index] for index in order[:count]]


def _distance(use: float, near_ratio: float) -> float:
    """How far the use of the budget is from what lies just below it; 0 inside."""
    return max(0.0, math.log(use), math.log(near_ratio) - math.log(use))
