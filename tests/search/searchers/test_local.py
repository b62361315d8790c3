import numpy as np
import pytest

from automoe.search import make_searcher
from automoe.testing import Play, middle_space, problem_of, small_space
from automoe.testing.problems import all_within, quality
from tests.search.searchers.told import records, sampled

PROBLEM = problem_of(middle_space(), "loss")
CODEC = PROBLEM.codec


def neighbours(problem, arch):
    codec = problem.codec
    return codec.decode_all(codec.neighbours(codec.encode(arch)))


def test_it_begins_with_samples_and_goes_on_with_neighbours_of_the_best():
    searcher = make_searcher("local", PROBLEM, {"starts": 6}, 1)
    starts = searcher.ask(6)
    assert {how for _, how in starts} == {"sample"}
    searcher.tell(records(PROBLEM, [arch for arch, _ in starts], loss=lambda index: abs(index - 3)))
    near = set(neighbours(PROBLEM, starts[3].arch))
    asked = searcher.ask(5)
    assert all(arch in near and how == "neighbour" for arch, how in asked)


def test_from_a_better_neighbour_it_walks_on():
    searcher = make_searcher("local", PROBLEM, {"starts": 1}, 1)
    start = sampled(PROBLEM, 1)[0]
    step = neighbours(PROBLEM, start)[0]
    searcher.tell(records(PROBLEM, [start, step], loss=lambda index: 2.0 - index))
    near = set(neighbours(PROBLEM, step))
    assert all(arch in near for arch, _ in searcher.ask(5))


def test_from_a_worse_neighbour_it_never_walks():
    problem = problem_of(small_space(), "loss")
    start = problem.codec.space.smallest()
    near = neighbours(problem, start)
    searcher = make_searcher("local", problem, {"starts": 1}, 1)
    searcher.tell(records(problem, [start, *near], loss=lambda index: float(index)))  # a local optimum, exhausted
    assert {how for _, how in searcher.ask(4)} == {"sample"}


def test_it_walks_from_a_sample_that_begins_anew_however_bad_it_is():
    problem = problem_of(small_space(), "loss")
    start = problem.codec.space.smallest()
    near = neighbours(problem, start)
    known = {start, *near}
    far = next(arch for arch in sampled(problem, 60) if not {arch, *neighbours(problem, arch)} & known)
    searcher = make_searcher("local", problem, {"starts": 1}, 1)
    searcher.tell(records(problem, [start, *near, far], loss=lambda index: float(index)))
    found = searcher.ask(3)
    assert all(arch in neighbours(problem, far) and how == "neighbour" for arch, how in found)


@pytest.mark.parametrize("limit", [None, 0.8])
def test_on_a_slope_it_ends_at_the_optimum(limit):
    problem = problem_of(middle_space(), "loss", limit=limit)
    play = Play(make_searcher("local", problem, {"starts": 2}, 1), problem).by_generations(250)
    best = min(play.records, key=lambda record: record.loss)
    kept = [arch for arch in neighbours(problem, best.arch) if problem.keeps(problem.estimates([arch])[0])]
    assert all(quality(arch).loss > best.loss for arch in kept)
    assert set(kept) <= {record.arch for record in play.records}


def test_with_several_objectives_it_walks_from_the_whole_front():
    problem = problem_of(middle_space(), "loss", "flops_g")
    codec = problem.codec
    ends = [codec.space.smallest(), codec.space.largest()]
    searcher = make_searcher("local", problem, {"starts": 2}, 1)
    searcher.tell(records(problem, ends, loss=lambda index: 2.0 - index))
    asked = [arch for arch, _ in searcher.ask(8)]
    for end in ends:
        assert sum(arch in set(neighbours(problem, end)) for arch in asked) == 4


def test_the_guessed_best_neighbours_come_first():
    plain = problem_of(middle_space(), "loss")
    guessing = problem_of(middle_space(), "loss", guess=True)
    told = records(plain, sampled(plain, 30))
    losses = []
    for problem in (plain, guessing):
        searcher = make_searcher("local", problem, {}, 1)
        searcher.tell(told)
        losses.append(np.mean([quality(arch).loss for arch, _ in searcher.ask(4)]))
    assert losses[1] < losses[0]


def test_neighbours_that_break_the_limits_end_a_walk():
    problem = problem_of(small_space(), "loss", limit=0.5)
    kept = all_within(problem)
    play = Play(make_searcher("local", problem, {"starts": 1, "batch": 3}, 1), problem).by_generations(1000)
    assert {record.arch for record in play.records} == kept
