"""Sorting by dominance (Deb et al. 2002, NSGA-II): which points no other point beats, and how lonely they are.

Shape suffixes: N points, F of them on the front, M objectives; lower is better in every one.
"""

from __future__ import annotations

from itertools import chain, product

import numpy as np
from numpy.typing import NDArray

from automoe.search.evaluator import Floats


def non_dominated_sort(objective_NM: Floats) -> NDArray[np.int64]:
    """The front that each point belongs to: 0 if none dominates it, 1 if only points of front 0 do, and so on.

    A point dominates another if it is nowhere worse and somewhere better; equal points share their front.
    """
    num = len(objective_NM)
    no_worse_NN = np.ones((num, num), dtype=bool)
    better_NN = np.zeros((num, num), dtype=bool)
    for column_N in objective_NM.T:
        no_worse_NN &= column_N[:, None] <= column_N[None, :]
        better_NN |= column_N[:, None] < column_N[None, :]
    dominates_NN = no_worse_NN & better_NN
    beaten_by_N = dominates_NN.sum(axis=0)
    front_N = np.full(num, -1, dtype=np.int64)
    front = 0
    while (front_N < 0).any():
        members_N = (front_N < 0) & (beaten_by_N == 0)
        front_N[members_N] = front
        beaten_by_N = beaten_by_N - dominates_NN[members_N].sum(axis=0)
        front += 1
    return front_N


def non_dominated(objective_NM: Floats) -> NDArray[np.bool_]:
    """Which points no other dominates, as `non_dominated_sort(...) == 0`, in memory for the front alone.

    In lexicographic order a point is dominated only by points before it, so it is compared to the front so far.
    """
    front_FM = np.empty_like(objective_NM)
    on_front_N = np.zeros(len(objective_NM), dtype=bool)
    num = 0
    for index in np.lexsort(objective_NM.T[::-1]) if objective_NM.size else range(len(objective_NM)):
        point_M, before_FM = objective_NM[index], front_FM[:num]
        no_worse_F = (before_FM <= point_M).all(axis=1)
        if not (no_worse_F & (before_FM < point_M).any(axis=1)).any():
            front_FM[num] = point_M
            on_front_N[index] = True
            num += 1
    return on_front_N


def crowding_distance(objective_NM: Floats) -> Floats:
    """How lonely each point of one front is: over all objectives the sum of the gaps between its neighbours.

    Gaps are relative to the range of the objective; the ends of an objective that varies are infinitely lonely.
    """
    distance_N = np.zeros(len(objective_NM))
    for column_N in objective_NM.T:
        order_N = np.argsort(column_N, kind="stable")
        sorted_N = column_N[order_N]
        spread = sorted_N[-1] - sorted_N[0] if len(sorted_N) else 0.0
        if spread > 0:
            distance_N[order_N[1:-1]] += (sorted_N[2:] - sorted_N[:-2]) / spread
            distance_N[order_N[[0, -1]]] = np.inf
    return distance_N


def best_first(objective_NM: Floats) -> NDArray[np.int64]:
    """Indices of the points by front, within a front the loneliest first, then in the given order."""
    front_N = non_dominated_sort(objective_NM)
    lonely_N = np.zeros(len(front_N))
    for front in np.unique(front_N):
        lonely_N[front_N == front] = crowding_distance(objective_NM[front_N == front])
    return np.lexsort((-lonely_N, front_N))


def best_for_each_trade(value_NM: Floats, num_qualities: int, count: int) -> list[int]:
    """Indices of the best points for every trade of a quality for a cost, the best first, from the trades in turns.

    For each pair of them the points are in the order of `best_first` on the pair. On one front of all objectives
    almost no point is beaten by another, and selection would lose its grip. Where there are qualities only, or costs
    only, the order is that of `best_first` on all of them.

    Args:
        value_NM: qualities first, then costs.
        num_qualities: columns that are qualities.
        count: the most that are returned.
    """
    qualities, costs = value_NM[:, :num_qualities].T, value_NM[:, num_qualities:].T
    trades = [np.stack(pair, axis=1) for pair in product(qualities, costs)] or [value_NM]
    in_turns = chain.from_iterable(zip(*map(best_first, trades), strict=True))
    return list(dict.fromkeys(map(int, in_turns)))[:count]
