"""Which evaluated architectures are the best, and which proposals promise most.

Shape suffixes: N records or candidates, M objectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from automoe.search.dominance import best_for_each_trade, crowding_distance, non_dominated_sort
from automoe.search.evaluator import Floats
from automoe.search.problem import Problem
from automoe.search.record import Record
from automoe.search.searcher import Candidate


def fronts(problem: Problem, records: Sequence[Record]) -> list[list[Record]]:
    """The records by front (Deb et al. 2002), the best front first, the loneliest of each first, then as they come.

    With one objective these are the different values in ascending order. What breaks the limits, as records of an
    earlier search may, comes behind all that keeps them.
    """
    keeps = [problem.keeps(record.costs) for record in records]
    kept = [record for record, keep in zip(records, keeps, strict=True) if keep]
    others = [record for record, keep in zip(records, keeps, strict=True) if not keep]
    return [front for group in (kept, others) if group for front in _fronts(problem.values(group), group)]


def best_records(problem: Problem, records: Sequence[Record]) -> list[Record]:
    """The records in the order of `fronts`."""
    return list(chain.from_iterable(fronts(problem, records)))


def best_by_first_objective(problem: Problem, records: Sequence[Record]) -> list[Record]:
    """The records by the first objective alone; what breaks the limits comes last."""
    column = (*problem.qualities, *problem.costs).index(problem.objectives[0])
    value_N = problem.values(records)[:, column]
    breaks_N = np.array([not problem.keeps(record.costs) for record in records])
    return [records[index] for index in np.lexsort((value_N, breaks_N))]


def most_promising(
    problem: Problem, known: Sequence[Record], pool: Sequence[Candidate], count: int
) -> list[Candidate]:
    """Of a pool the `count` candidates that few others beat in guessed quality and predicted costs.

    Where nothing can guess, or the pool is not larger, the first ones.
    """
    if len(pool) <= count:
        return list(pool)
    archs = [candidate.arch for candidate in pool]
    guess_N = problem.guess(known, archs)
    if guess_N is None:
        return list(pool[:count])
    costs = problem.estimates(archs) if problem.costs else [{}] * len(archs)
    value_NM = np.concatenate([guess_N[:, None], problem.log_costs(costs)], axis=1)
    return [pool[index] for index in best_for_each_trade(value_NM, 1, count)]


def _fronts(value_NM: Floats, records: Sequence[Record]) -> list[list[Record]]:
    if value_NM.shape[1] == 1:
        front_N = np.unique(value_NM[:, 0], return_inverse=True)[1]
    else:
        front_N = non_dominated_sort(value_NM)
    found = []
    for places in np.split(np.argsort(front_N, kind="stable"), np.cumsum(np.bincount(front_N))[:-1]):
        order = np.argsort(-crowding_distance(value_NM[places]), kind="stable")
        found.append([records[index] for index in places[order]])
    return found
