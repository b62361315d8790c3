"""Evolution over the front of quality against costs, from the cheapest architecture up (as NSGA-II, Deb et al. 2002).

It knows no budget: `select` applies that to what is found here, and `run_focused` looks closer where it binds.
All evaluated architectures compete for parenthood, since a loss once computed never changes. Children are many and
evaluations are few, so a surrogate guesses which children promise most.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from automoe.search.archive import Archive
from automoe.search.config import EvolutionConfig
from automoe.search.dominance import best_for_each_cost
from automoe.search.evaluator import CostPredictor, Evaluator
from automoe.search.generations import OnProgress, SearchOutcome, run_generations
from automoe.search.offspring import (
    Candidate,
    first_generation,
    genomes_of,
    select_parents,
    unseen_children,
    unseen_samples,
)
from automoe.search.record import Record
from automoe.search.surrogate import guess_losses
from automoe.space import GenomeCodec

_STAGE = zlib.crc32(b"search")
_POOL = 16
"""Children whose loss is guessed, for each that is evaluated."""


def run_evolution(
    codec: GenomeCodec,
    config: EvolutionConfig,
    seed: int,
    archive: Archive,
    evaluate: Evaluator,
    predict_costs: CostPredictor,
    on_progress: OnProgress | None = None,
) -> SearchOutcome:
    """Adds to the archive until it holds `config.evaluations` architectures, or all of the space.

    Killed at any moment and run again with the same arguments, it goes on and ends with the same archive.

    Args:
        codec: of the space.
        config: how much and how.
        seed: of everything random.
        archive: empty, or what an earlier run with the same arguments left.
        evaluate: the loss of one architecture.
        predict_costs: the costs of several; it must give `flops_g` and all of `config.costs`.
        on_progress: hears of each record as it is added.

    Raises:
        AutoMoEError: the archive is of another search, or a loss is not a number.
    """

    def plan(generation: int, before: Sequence[Record], room: int) -> list[Candidate]:
        size = min(config.population, room)
        rng = np.random.default_rng([seed, _STAGE, generation])
        if generation == 0:
            return first_generation(codec, size, rng, predict_costs)
        return _next_generation(codec, config, before, size, rng, predict_costs)

    return run_generations(
        archive,
        plan,
        first=0,
        target=config.evaluations,
        evaluate=evaluate,
        predict_costs=predict_costs,
        on_progress=on_progress,
    )


def _next_generation(
    codec: GenomeCodec,
    config: EvolutionConfig,
    before: Sequence[Record],
    size: int,
    rng: np.random.Generator,
    predict_costs: CostPredictor,
) -> list[Candidate]:
    """Of many children of the best those that promise most; samples where the parents have no unseen children."""
    seen = genomes_of(codec, before)
    pool = unseen_children(codec, select_parents(before, config), config, seen, _POOL * size, rng)
    if len(pool) < size:
        seen |= {codec.encode(child.arch).tobytes() for child in pool}
        return pool + unseen_samples(codec, seen, size - len(pool), rng)
    archs = [candidate.arch for candidate in pool]
    costs = predict_costs(archs)
    cost_NC = np.log(np.stack([np.asarray(costs[name].mean_N) for name in config.costs], axis=1))
    return [pool[index] for index in best_for_each_cost(guess_losses(codec, before, archs), cost_NC, size)]
