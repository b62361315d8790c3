import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from automoe.search import Candidate
from automoe.search.searchers.ranking import best_by_first_objective, best_records, fronts, most_promising
from automoe.testing import middle_space, problem_of
from tests.search.searchers.told import records, sampled
from tests.space.strategies import few

ONE = problem_of(middle_space(), "loss")
TWO = problem_of(middle_space(), "loss", "flops_g")
LIMITED = problem_of(middle_space(), "loss", limit=0.5)
ARCHS = sampled(ONE, 20)
LOSSES = st.lists(st.integers(0, 8), min_size=20, max_size=20)


@few
@given(LOSSES)
def test_with_one_objective_the_order_is_that_of_its_values_and_ties_keep_theirs(losses):
    told = records(ONE, ARCHS, loss=lambda index: float(losses[index]))
    expected = sorted(told, key=lambda record: record.loss)
    assert best_records(ONE, told) == best_by_first_objective(ONE, told) == expected


@few
@given(LOSSES)
def test_fronts_hold_every_record_once_and_each_is_beaten_from_the_front_before(losses):
    told = records(TWO, ARCHS, loss=lambda index: float(losses[index]))
    found = fronts(TWO, told)
    assert sorted(record.index for front in found for record in front) == list(range(20))

    def beats(one, two):
        values = TWO.values([one, two])
        return (values[0] <= values[1]).all() and (values[0] < values[1]).any()

    for front, before in zip(found, [[], *found], strict=False):
        assert not any(beats(one, two) for one in front for two in front)
        assert all(any(beats(one, two) for one in before) for two in front) or not before


def test_what_breaks_the_limits_comes_last_however_good():
    told = records(LIMITED, ARCHS)
    keeps = [LIMITED.keeps(record.costs) for record in told]
    assert 0 < sum(keeps) < 20
    for order in (best_records(LIMITED, told), best_by_first_objective(LIMITED, told)):
        assert [LIMITED.keeps(record.costs) for record in order] == sorted(keeps, reverse=True)


def test_the_most_promising_are_those_of_least_guessed_loss_where_it_is_the_only_objective():
    problem = problem_of(middle_space(), "loss", guess=True)
    told = records(problem, ARCHS)
    pool = [Candidate(arch, "sample") for arch in sampled(problem, 60, seed=1)]
    guess_N = problem.guess(told, [arch for arch, _ in pool])
    chosen = most_promising(problem, told, pool, 5)
    assert [pool.index(candidate) for candidate in chosen] == np.argsort(guess_N, kind="stable")[:5].tolist()


def test_without_a_guess_the_first_ones_are_taken():
    pool = [Candidate(arch, "sample") for arch in ARCHS]
    assert most_promising(TWO, records(TWO, ARCHS), pool, 4) == pool[:4]
