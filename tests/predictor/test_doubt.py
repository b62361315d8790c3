import numpy as np
import pytest

from automoe.errors import AutoMoEError
from automoe.predictor.doubt import most_doubtful
from automoe.predictor.kernel import most_uncertain
from tests.predictor.samples import HEADS, SPACE, architectures, latency_ms


def latencies(archs):
    return np.array([latency_ms(arch) for arch in archs])


SHALLOW = [arch for arch in architectures(400) if len(arch.decoder.layers) <= 2 and arch.decoder.dim == 32][:40]


def test_what_is_unlike_all_that_was_measured_is_measured_first():
    unlike = [arch for arch in architectures(300, seed=5) if len(arch.decoder.layers) == 3 and arch.decoder.dim == 64]
    pool = SHALLOW[:30] + unlike[:10]
    chosen = most_doubtful(SHALLOW, latencies(SHALLOW), pool, 5)
    assert set(chosen) <= set(range(30, 40)) and len(set(chosen)) == 5


def test_of_twins_one_is_measured_before_the_other_is_worth_it():
    largest = SPACE.largest()
    pool = [largest, largest, *architectures(30, seed=9)[2:]]
    assert len({0, 1} & set(most_doubtful(SHALLOW, latencies(SHALLOW), pool, 3))) <= 1


def test_the_same_arguments_choose_the_same_and_more_of_them_go_on_from_there():
    pool = architectures(60, seed=9)
    few, many = (most_doubtful(SHALLOW, latencies(SHALLOW), pool, count) for count in (4, 9))
    assert many[:4] == few


def test_at_most_all_are_chosen_and_none_of_none():
    pool = architectures(5, seed=9)
    assert sorted(most_doubtful(SHALLOW, latencies(SHALLOW), pool, 9)) == [0, 1, 2, 3, 4]
    assert most_doubtful(SHALLOW, latencies(SHALLOW), [], 3) == []


def test_where_nothing_differs_they_are_taken_in_their_order():
    archs = architectures(9, space=HEADS)
    assert most_doubtful(archs[:5], np.linspace(1, 2, 5), archs[5:], 3) == [0, 1, 2]


def test_too_little_to_learn_from_is_refused():
    with pytest.raises(AutoMoEError, match="too few"):
        most_doubtful(SHALLOW[:2], latencies(SHALLOW[:2]), SHALLOW[2:], 1)


def test_each_choice_has_the_largest_variance_given_those_before_it():
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((8, 8))
    covariance, noise = factor @ factor.T, 0.3
    chosen = most_uncertain(covariance, noise, 8)
    for step in range(8):
        before = chosen[:step]
        inverse = np.linalg.inv(covariance[np.ix_(before, before)] + noise * np.eye(step))
        left = np.diag(covariance - covariance[:, before] @ inverse @ covariance[before])
        rest = [index for index in range(8) if index not in before]
        assert chosen[step] == rest[int(np.argmax(left[rest]))]
