import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.errors import AutoMoEError
from automoe.search import InProcess, Quality, make_searcher, read_archive, run_search
from automoe.search.hypervolume import hypervolume
from tests.search.analytic import SPACE, evaluate, loss, new_archive, problem, sampled, search_on, true_costs
from tests.space.strategies import few, spaces

SMALL = {"population": 6, "parents": 4}


class Killed(Exception):
    """Stands for a process that ends in the middle of a search."""


def killed_every(calls):
    """An evaluator that dies at each `calls`-th call."""
    counter = itertools.count(1)

    def dying(arch):
        if next(counter) % calls == 0:
            raise Killed
        return evaluate(arch)

    return dying


def undisturbed(folder, **settings):
    archive = new_archive(folder)
    outcome = search_on(archive, **(SMALL | settings))
    return archive, outcome


@pytest.mark.parametrize("calls", [2, 3, 5, 7, 23])
def test_a_search_killed_again_and_again_ends_with_the_same_bytes(tmp_path, calls):
    expected, _ = undisturbed(tmp_path)
    (tmp_path / "killed").mkdir()
    dying, kills = killed_every(calls), 0
    while True:
        archive = new_archive(tmp_path / "killed")
        try:
            search_on(archive, dying, **SMALL)
            break
        except Killed:
            kills += 1
    assert kills == (23 - 1) // (calls - 1)
    assert archive.path.read_bytes() == expected.path.read_bytes()


def test_a_search_whose_last_line_was_torn_ends_with_the_same_bytes(tmp_path):
    archive, _ = undisturbed(tmp_path)
    content = archive.path.read_bytes()
    for end in range(len(content) // 3, len(content), 997):
        archive.path.write_bytes(content[:end])
        resumed = new_archive(tmp_path)
        search_on(resumed, **SMALL)
        assert archive.path.read_bytes() == content


def test_a_finished_search_evaluates_nothing_again(tmp_path):
    archive, _ = undisturbed(tmp_path)

    def refuse(arch):
        raise AssertionError("evaluated again")

    outcome = search_on(archive, refuse, **SMALL)
    assert (outcome.evaluated, outcome.exhausted) == (23, False)


def test_no_architecture_is_evaluated_twice_and_each_is_heard_of_once(tmp_path):
    heard = []
    archive = new_archive(tmp_path)
    search_on(archive, on_progress=heard.append, **SMALL)
    assert len({record.digest for record in heard}) == 23
    assert archive.records == read_archive(archive.path).records == tuple(heard)
    assert all(record.arch in SPACE and record.loss == loss(record.arch) for record in heard)
    assert all(record.costs["flops_g"].mean == true_costs(record.arch)["flops_g"] for record in heard)


def test_the_seed_decides(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    one, _ = undisturbed(tmp_path / "a", seed=1)
    two, _ = undisturbed(tmp_path / "b", seed=2)
    assert {record.digest for record in one.records} != {record.digest for record in two.records}


def test_the_first_generation_reaches_from_the_smallest_to_the_largest(tmp_path):
    archive, _ = undisturbed(tmp_path, evaluations=24, population=24, parents=12)
    smallest, largest, *samples = archive.records
    assert (smallest.arch, largest.arch) == (SPACE.smallest(), SPACE.largest())
    assert {record.how for record in samples} == {"sample"}
    flops = np.sort([math.log(record.costs["flops_g"].mean) for record in archive.records])
    steps = np.diff(flops) / (flops[-1] - flops[0])
    assert steps.max() < 0.15  # 23 even steps would be 0.043 each; uniform samples leave gaps of a third at the ends


def test_an_archive_of_another_search_is_refused_and_not_changed(tmp_path):
    archive, _ = undisturbed(tmp_path)
    content = archive.path.read_bytes()
    with pytest.raises(AutoMoEError, match="was not made by this search") as error:
        search_on(new_archive(tmp_path), seed=2, **SMALL)
    assert error.value.file == str(archive.path)
    assert archive.path.read_bytes() == content


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_search_and_keeps_what_it_has(tmp_path, value):
    calls = itertools.count(1)

    def diverged(arch):
        return Quality(value) if next(calls) == 4 else evaluate(arch)

    archive = new_archive(tmp_path)
    with pytest.raises(AutoMoEError, match="is not a number"):
        search_on(archive, diverged, **SMALL)
    assert len(read_archive(archive.path)) == 3


@settings(few, max_examples=8)
@given(spaces().filter(lambda space: space.num_architectures <= 40), st.integers(0, 99))
def test_a_space_smaller_than_the_search_is_evaluated_whole(tmp_path_factory, space, seed):
    archive = new_archive(tmp_path_factory.mktemp("small"), space)
    outcome = search_on(archive, seed=seed, evaluations=41, space=space, population=12, parents=4)
    assert outcome.exhausted and "exhausted" in outcome.message
    assert len({record.arch for record in archive.records}) == outcome.evaluated == space.num_architectures


@pytest.mark.parametrize("cost", ["latency_ms", "flops_g"])
def test_evolution_finds_a_better_front_than_as_many_samples(tmp_path, cost):
    reference = (loss(SPACE.smallest()), math.log(true_costs(SPACE.largest())[cost]))

    def area(archs):
        points = np.array([(loss(arch), math.log(true_costs(arch)[cost])) for arch in archs])
        return hypervolume(points, np.array(reference))

    evolved, drawn = [], []
    for seed in range(5):
        (tmp_path / str(seed)).mkdir()
        archive, _ = undisturbed(tmp_path / str(seed), evaluations=60, population=12, parents=8, seed=seed)
        evolved.append(area([record.arch for record in archive.records]))
        drawn.append(area(sampled(60, seed)))
    assert min(evolved) > max(drawn)


def test_newcomers_come_asynchronously_too(tmp_path):
    archive, world = new_archive(tmp_path), problem()
    searcher = make_searcher("evolution", world, SMALL | {"newcomers": 0.3}, 1)
    run_search(searcher, world, archive, InProcess(evaluate), evaluations=60, asynchronous=True)
    assert sum(record.how == "sample" for record in archive.records[6:]) >= 6
