import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import DataError
from automoe.evaluation.seed_noise import clear_pairs, means_of, seed_noise

RUNS = st.lists(st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=3), min_size=2, max_size=8)


def test_seed_noise_pools_squares_about_each_mean_over_seeds_less_one():
    # Squares: 2 about the mean 1, 0 of the single seed, 8 about the mean 4; freedom 1 + 0 + 2.
    assert seed_noise([[0, 2], [7], [2, 4, 6]]) == pytest.approx(((2 + 8) / 3) ** 0.5)


def test_seed_noise_is_found_whatever_the_architectures_are_worth():
    rng = np.random.default_rng(0)
    runs_NS = 10 * rng.standard_normal((2000, 1)) + 0.3 * rng.standard_normal((2000, 2))
    # Its relative error has the deviation 1 / sqrt(2 * 2000) = 1.6 %: four of them.
    assert seed_noise(runs_NS) == pytest.approx(0.3, rel=0.064)


@given(RUNS, st.integers(-9, 9))
def test_seed_noise_does_not_see_what_all_seeds_of_an_architecture_share(runs, shift):
    moved = [[value + shift * index for value in values] for index, values in enumerate(runs)]
    assert seed_noise(moved) == pytest.approx(seed_noise(runs), abs=1e-9)


def test_one_seed_each_tells_no_noise():
    assert seed_noise([[1.0], [2.0], [3.0]]) is None


@given(RUNS, st.floats(0, 20), st.floats(0, 3))
def test_pairs_are_clear_if_their_means_differ_by_more_than_the_noise_of_a_difference(runs, noise, times):
    clear_NN, mean_N = clear_pairs(runs, noise, times), means_of(runs)
    assert not clear_NN.diagonal().any()
    for i, first in enumerate(runs):
        for j, second in enumerate(runs):
            bound = times * noise * (1 / len(first) + 1 / len(second)) ** 0.5
            distance = abs(mean_N[i] - mean_N[j])
            assert clear_NN[i, j] == (distance > bound) or distance == pytest.approx(bound)


def test_more_seeds_make_a_pair_clear():
    assert not clear_pairs([[0.0], [1.0]], 0.5, 2.0)[0, 1]
    assert clear_pairs([[0.0] * 3, [1.0] * 3], 0.5, 2.0)[0, 1]


@pytest.mark.parametrize("runs", [[[1.0], []], [[1.0], [float("nan")]], [[1.0, float("inf")], [2.0]]])
def test_trainings_without_a_quality_are_refused(runs):
    with pytest.raises(DataError, match=r"runs\[\d\]"):
        seed_noise(runs)
