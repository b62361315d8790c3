from dataclasses import replace

import numpy as np

from automoe.search import make_searcher
from automoe.testing import middle_space, problem_of, small_space
from automoe.testing.problems import fit_quality
from tests.search.searchers.told import records, sampled

PROBLEM = problem_of(middle_space(), "loss")
CODEC = PROBLEM.codec


def families(told):
    """The architectures that differ from each told one in one gene."""
    return [set(CODEC.decode_all(CODEC.neighbours(CODEC.encode(record.arch)))) for record in told]


def test_children_differ_in_one_gene_from_one_of_the_youngest_however_good_older_ones_are():
    told = records(PROBLEM, sampled(PROBLEM, 60), loss=lambda index: 1.0 + index)  # the older the better
    searcher = make_searcher("regularised", PROBLEM, {"population": 10, "sample": 4}, 1)
    searcher.tell(told)
    family = families(told)
    children = [arch for arch, how in searcher.ask(30) if how == "mutation"]
    assert len(children) == 30
    assert all(any(arch in each for each in family[-10:]) for arch in children)


def test_a_tournament_of_many_is_won_by_the_best():
    told = records(PROBLEM, sampled(PROBLEM, 20), loss=lambda index: abs(index - 12))
    searcher = make_searcher("regularised", PROBLEM, {"population": 20, "sample": 500}, 1)
    searcher.tell(told)
    best = families(told)[12]
    assert all(arch in best for arch, _ in searcher.ask(10))


def test_a_tournament_of_one_is_won_by_anyone():
    told = records(PROBLEM, sampled(PROBLEM, 20), loss=float)
    searcher = make_searcher("regularised", PROBLEM, {"population": 20, "sample": 1}, 1)
    searcher.tell(told)
    children = [arch for arch, _ in searcher.ask(100)]
    with_children = {place for place, each in enumerate(families(told)) if any(arch in each for arch in children)}
    assert len(with_children) >= 15  # 100 draws out of 20 miss none with a probability of 89 %


def test_with_several_objectives_the_front_wins():
    problem = problem_of(middle_space(), "loss", "flops_g")
    archs = sampled(problem, 20)
    flops = np.array([each["flops_g"].mean for each in problem.estimates(archs)])
    order = np.argsort(flops)
    rank = np.empty(20)
    rank[order] = np.arange(20)
    # The dearer the worse, but for the dearest, which is best: the front is the cheapest and the dearest.
    told = records(problem, archs, loss=lambda index: -1.0 if rank[index] == 19 else float(rank[index]))
    searcher = make_searcher("regularised", problem, {"population": 20, "sample": 500}, 1)
    searcher.tell(told)
    family = families(told)
    front = family[order[0]] | family[order[-1]]
    assert all(arch in front for arch, _ in searcher.ask(10))


def test_the_quality_predictor_chooses_among_mutants():
    told = records(PROBLEM, sampled(PROBLEM, 40))
    means = []
    for problem in (PROBLEM, replace(PROBLEM, fit_quality=fit_quality, screen=16)):
        searcher = make_searcher("regularised", problem, {}, 1)
        searcher.tell(told)
        means.append(np.mean([record.loss for record in records(problem, [arch for arch, _ in searcher.ask(8)])]))
    assert means[1] < means[0]


def test_where_no_neighbour_is_left_it_samples():
    problem = problem_of(small_space(), "loss")
    searcher = make_searcher("regularised", problem, {"population": 1, "sample": 1}, 1)
    codec = problem.codec
    parent = codec.space.smallest()
    searcher.tell(records(problem, [*codec.decode_all(codec.neighbours(codec.encode(parent))), parent]))
    assert [how for _, how in searcher.ask(3)] == ["sample"] * 3
