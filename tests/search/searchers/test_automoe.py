from collections import Counter

import numpy as np
import pytest

from automoe.search import Candidate, make_searcher
from automoe.testing import Play, middle_space, problem_of
from tests.search.searchers.told import records, sampled

PROBLEM = problem_of(middle_space(), "loss", "flops_g", limit=0.6)


def test_generations_are_those_of_the_paper():
    play = Play(make_searcher("automoe", PROBLEM, {}, 1), PROBLEM).by_generations(325)
    assert [len(answer) for answer in play.answers] == [125, 100, 100]
    hows = [Counter(how for _, how in answer) for answer in play.answers]
    assert hows == [{"sample": 125}, {"mutation": 50, "crossover": 50}, {"mutation": 50, "crossover": 50}]


@pytest.mark.parametrize("objectives", [("loss",), ("loss", "flops_g"), ("flops_g", "loss")])
def test_parents_are_the_best_of_all_told_by_the_first_objective_within_the_limits(objectives):
    problem = problem_of(middle_space(), *objectives, limit=0.6)
    codec = problem.codec
    archs = sampled(problem, 200)
    told = records(problem, archs, loss=lambda index: 1.0 + index % 37 + index / 1000)
    kept = [record for record in told if problem.keeps(record.costs)]
    by_flops = objectives[0] == "flops_g"
    best = sorted(kept, key=lambda record: record.costs["flops_g"].mean if by_flops else record.loss)[:3]
    parent_PG = np.stack([codec.encode(record.arch) for record in best])
    options = {"parents": 3, "mutants": 0, "crossovers": 20}
    searcher = make_searcher("automoe", problem, options, 1)
    searcher.tell(told)
    children = searcher.ask(20)
    dims = {tuple(row) for row in parent_PG[:, [codec.names.index(f"{side}.dim") for side in ("encoder", "decoder")]]}
    allowed = {(one[0], two[1]) for one in dims for two in dims}
    crossed = [arch for arch, how in children if how == "crossover"]
    assert crossed
    assert all((arch.encoder.dim, arch.decoder.dim) in allowed for arch in crossed)
    depths = {len(record.arch.encoder.layers) for record in best}
    assert all(len(arch.encoder.layers) in depths for arch in crossed)


def test_records_that_break_the_limits_have_no_children():
    space, codec = middle_space(), PROBLEM.codec
    archs = sampled(PROBLEM, 100)
    kept = [arch for arch, costs in zip(archs, PROBLEM.estimates(archs), strict=True) if PROBLEM.keeps(costs)][:10]
    searcher = make_searcher("automoe", PROBLEM, {"parents": 1, "mutants": 5, "crossovers": 0, "mutation": 0.05}, 1)
    searcher.tell(records(PROBLEM, [space.largest(), *kept], loss=float))
    best_G = codec.encode(kept[0])
    mutants = [codec.encode(arch) for arch, how in searcher.ask(5) if how == "mutation"]
    assert mutants
    assert all((mutant_G != best_G).mean() < 0.5 for mutant_G in mutants)


def test_an_unfinished_first_population_is_filled_up_with_samples():
    searcher = make_searcher("automoe", PROBLEM, {}, 1)
    searcher.tell(records(PROBLEM, sampled(PROBLEM, 30)))
    assert searcher.batch == 95
    assert {candidate.how for candidate in searcher.ask(95)} == {"sample"}


def test_one_child_at_a_time_is_a_mutant_or_a_crossover_with_equal_chance():
    play = Play(make_searcher("automoe", PROBLEM, {"parents": 5, "mutants": 10, "crossovers": 10}, 1), PROBLEM)
    play.by_generations(25)
    hows = []
    for _ in range(60):
        (candidate,) = play.ask(1)
        play.tell([Candidate(*candidate)])
        hows.append(candidate.how)
    assert 15 <= hows.count("mutation") <= 45  # 30 with a standard deviation of 4
