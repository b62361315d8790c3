import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from automoe.search import make_searcher
from automoe.search.hypervolume import hypervolume
from automoe.testing import Play, middle_space, problem_of
from automoe.testing.problems import predict_costs, quality
from tests.search.searchers.told import records, sampled
from tests.space.strategies import few

PROBLEM = problem_of(middle_space(), "loss", "flops_g")
ARCHS = sampled(PROBLEM, 40)


def dominates(one, two):
    return (one <= two).all() and (one < two).any()


@few
@given(st.lists(st.integers(0, 9), min_size=40, max_size=40), st.integers(4, 12))
def test_survivors_are_whole_fronts_of_parents_and_children_but_for_the_last(losses, population):
    told = records(PROBLEM, ARCHS, loss=lambda index: 1.0 + losses[index])
    searcher = make_searcher("nsga2", PROBLEM, {"population": population}, 1)
    survivors = []
    for begin in range(0, 40 - population, population):
        generation = told[begin : begin + population]
        both = [*survivors, *generation]
        searcher.tell(generation)
        survivors = searcher.parents()
        value_NM = PROBLEM.values(both)
        kept = [record in survivors for record in both]
        assert sum(kept) == population
        for place, is_kept in enumerate(kept):
            beaten_by = [other for other in range(len(both)) if dominates(value_NM[other], value_NM[place])]
            if is_kept:  # nothing survives before what beats it
                assert all(kept[other] for other in beaten_by)


def test_the_ends_of_the_front_survive_and_never_get_worse():
    searcher = make_searcher("nsga2", PROBLEM, {"population": 8}, 1)
    play = Play(searcher, PROBLEM)
    best = np.inf
    for _ in range(6):
        play.by_generations(len(play.records) + 8)
        losses = [record.loss for record in searcher.parents()]
        assert min(losses) == min(record.loss for record in play.records) <= best
        best = min(losses)
        flops = [record.costs["flops_g"].mean for record in searcher.parents()]
        assert min(flops) == min(record.costs["flops_g"].mean for record in play.records)


def test_one_gene_in_the_mean_is_mutated():
    codec = PROBLEM.codec
    searcher = make_searcher("nsga2", PROBLEM, {"population": 2, "crossover": 0.0}, 1)
    parents = [codec.space.largest(), codec.space.smallest()]
    searcher.tell(records(PROBLEM, parents, loss=lambda index: index + 1.0))
    parent_PG = np.stack([codec.encode(arch) for arch in parents])
    genomes = [codec.encode(arch) for arch, how in searcher.ask(40) if how == "mutation"]
    changed = [(genome_G != parent_PG).sum(axis=1).min() for genome_G in genomes]
    # A redrawn gene may come out as it was, and those that did change nothing are refused; a depth changes many.
    assert np.median(changed) <= 2


def test_it_finds_a_better_front_than_as_many_samples():
    reference = (quality(PROBLEM.codec.space.smallest()).loss,
                 np.log(predict_costs([PROBLEM.codec.space.largest()])["flops_g"].mean_N[0]))  # fmt: skip
    volumes = {}
    for name in ("nsga2", "random"):
        plays = [Play(make_searcher(name, PROBLEM, {}, seed), PROBLEM).by_generations(240) for seed in range(3)]
        volumes[name] = [hypervolume(PROBLEM.values(play.records), reference) for play in plays]
    assert min(volumes["nsga2"]) > max(volumes["random"])
