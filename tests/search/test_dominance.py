import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from automoe.search import crowding_distance, non_dominated_sort
from automoe.search.dominance import best_first, best_for_each_trade, non_dominated

points = arrays.arrays(
    np.float64,
    st.tuples(st.integers(0, 12), st.integers(1, 3)),
    elements=st.integers(0, 4).map(float),  # few values: ties and duplicates are what goes wrong
)


def dominates(a, b) -> bool:
    return all(a <= b) and any(a < b)


@given(points)
def test_a_point_is_one_front_behind_the_last_that_dominates_it(objective_NM):
    front_N = non_dominated_sort(objective_NM)
    for point, front in zip(objective_NM, front_N, strict=True):
        behind = [other for each, other in zip(objective_NM, front_N, strict=True) if dominates(each, point)]
        assert front == max(behind, default=-1) + 1


@given(points)
def test_the_front_alone_is_the_first_front_of_the_sort(objective_NM):
    np.testing.assert_array_equal(non_dominated(objective_NM), non_dominated_sort(objective_NM) == 0)


def test_the_front_of_many_points_needs_no_memory_for_all_pairs():
    objective_NM = np.random.default_rng(0).normal(size=(20_000, 2))
    tracemalloc.start()
    on_front_N = non_dominated(objective_NM)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert on_front_N.any() and peak < 10 * objective_NM.nbytes  # all pairs: 400 MB for each comparison


@given(points)
def test_crowding_is_the_sum_of_relative_gaps_and_infinite_at_the_ends(objective_NM):
    expected_N = np.zeros(len(objective_NM))
    for column in objective_NM.T:
        order = sorted(range(len(column)), key=lambda index: (column[index], index))
        for place, index in enumerate(order):
            if column.max() == column.min():
                continue
            if place in (0, len(order) - 1):
                expected_N[index] = np.inf
            else:
                gap = column[order[place + 1]] - column[order[place - 1]]
                expected_N[index] += gap / (column.max() - column.min())
    np.testing.assert_allclose(crowding_distance(objective_NM), expected_N)


@given(points)
def test_best_first_orders_by_front_then_by_loneliness(objective_NM):
    order = best_first(objective_NM)
    assert sorted(order) == list(range(len(objective_NM)))
    front_N = non_dominated_sort(objective_NM)
    keys = []
    for index in order:
        members = np.flatnonzero(front_N == front_N[index])
        lonely = crowding_distance(objective_NM[members])[list(members).index(index)]
        keys.append((front_N[index], -lonely, index))
    assert keys == sorted(keys)


@given(points.filter(lambda objective_NM: objective_NM.shape[1] > 1), st.integers(1, 2), st.integers(0, 14))
def test_every_trade_of_a_quality_for_a_cost_has_its_turn_among_the_best(objective_NM, num_qualities, count):
    qualities, costs = objective_NM[:, :num_qualities].T, objective_NM[:, num_qualities:].T
    pairs = [(quality_N, cost_N) for quality_N in qualities for cost_N in costs]
    orders = [list(best_first(np.stack(pair, axis=1))) for pair in pairs] or [list(best_first(objective_NM))]
    expected = []
    for index in (order[place] for place in range(len(objective_NM)) for order in orders):
        if index not in expected and len(expected) < count:
            expected.append(index)
    assert best_for_each_trade(objective_NM, num_qualities, count) == expected
