"""Shape suffixes: N points, M objectives, S samples of a box."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.search.hypervolume import hypervolume, hypervolume_over_time
from tests.space.strategies import few


@st.composite
def points(draw, max_size=7):
    """Small whole numbers, so that points coincide in objectives and some lie beyond the reference (6, 6, ...)."""
    num_objectives = draw(st.integers(1, 5))
    row = st.tuples(*[st.integers(0, 7)] * num_objectives)
    rows = draw(st.lists(row, max_size=max_size))
    return np.array(rows, dtype=np.float64).reshape(len(rows), num_objectives)


def reference_of(point_NM):
    return np.full(point_NM.shape[1], 6.0)


def by_inclusion_and_exclusion(point_NM, reference_M):
    inside = [point for point in point_NM if (point < reference_M).all()]
    return sum(
        (-1) ** (size + 1) * np.prod(reference_M - np.max(chosen, axis=0))
        for size in range(1, len(inside) + 1)
        for chosen in itertools.combinations(inside, size)
    )


@few
@given(points())
def test_it_is_the_volume_of_the_union_of_boxes(point_NM):
    reference_M = reference_of(point_NM)
    assert hypervolume(point_NM, reference_M) == by_inclusion_and_exclusion(point_NM, reference_M)


@pytest.mark.parametrize("num_objectives", [2, 3, 4, 5])
def test_it_is_the_share_of_random_points_that_are_dominated(num_objectives):
    rng = np.random.default_rng(num_objectives)
    point_NM = rng.random((60, num_objectives))
    sample_SM = rng.random((40_000, num_objectives))
    dominated_S = np.zeros(len(sample_SM), dtype=bool)
    for point_M in point_NM:
        dominated_S |= (point_M <= sample_SM).all(axis=1)
    # The standard deviation of a share of 40,000 is at most 0.0025.
    assert hypervolume(point_NM, np.ones(num_objectives)) == pytest.approx(dominated_S.mean(), abs=0.0125)


@few
@given(points(), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_of_the_points_nor_the_order_of_objectives_matters(point_NM, random):
    reference_M = np.arange(5, 5 + point_NM.shape[1]) / 1.0
    expected = hypervolume(point_NM, reference_M)
    rows = [*point_NM, *point_NM[:2]]
    random.shuffle(rows)
    columns = random.sample(range(point_NM.shape[1]), point_NM.shape[1])
    shuffled = np.array(rows).reshape(-1, point_NM.shape[1])[:, columns]
    assert hypervolume(shuffled, reference_M[columns]) == expected


@few
@given(points(max_size=12))
def test_over_time_it_is_that_of_the_points_so_far_and_never_falls(point_NM):
    reference_M = reference_of(point_NM)
    volume_N = hypervolume_over_time(point_NM, reference_M)
    expected = [hypervolume(point_NM[: end + 1], reference_M) for end in range(len(point_NM))]
    assert volume_N.tolist() == expected
    assert (np.diff(volume_N) >= 0).all()


@few
@given(points())
def test_points_that_are_not_below_the_reference_do_not_count(point_NM):
    reference_M = reference_of(point_NM)
    beyond = [reference_M, *(np.where(np.arange(len(reference_M)) == m, 6.0, 0.0) for m in range(len(reference_M)))]
    extended = np.concatenate([point_NM, beyond])
    assert hypervolume(extended, reference_M) == hypervolume(point_NM, reference_M)


def test_it_is_exact_for_a_large_front_of_three_objectives():
    # The simplex of whole numbers i + j + k = 40: its boxes are a staircase whose volume is a sum.
    rows = [(i, j, 40 - i - j) for i in range(41) for j in range(41 - i)]
    reference = 41
    cubes = sum(i + j + k >= 40 for i, j, k in itertools.product(range(reference), repeat=3))
    assert hypervolume(rows, (reference,) * 3) == cubes


@pytest.mark.parametrize(
    ("point_NM", "reference_M"),
    [([[1, 2]], [3]), ([1, 2], [3, 3]), ([[np.nan, 1]], [3, 3]), ([[1, 1]], [3, np.inf]), (np.zeros((2, 0)), [])],
)
def test_what_does_not_fit_together_is_refused(point_NM, reference_M):
    for function in (hypervolume, hypervolume_over_time):
        with pytest.raises(ValueError, match=r"agree|number"):
            function(point_NM, reference_M)
