from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest

from automoe.search import InProcess, run_search, used_share
from automoe.search.searchers.focused import FocusedOptions, FocusedSearch
from tests.search.analytic import evaluate, header, limit, new_archive, problem, search_on, true_costs
from tests.search.test_evolution import Killed, killed_every

LIMITS = [limit("latency_ms", 4.2), limit("flops_g", 0.0007)]


@pytest.fixture
def searched(tmp_path):
    archive = new_archive(tmp_path)
    search_on(archive, evaluations=24, population=12, parents=6)
    return archive


def focus(archive, evaluate=evaluate, limits=LIMITS, evaluations=14, given=None, limits_of_search=()):
    world = problem(limits=limits_of_search)
    searcher = FocusedSearch(world, FocusedOptions(batch=6, parents=6), 1, limits)
    given = archive.records[:24] if given is None else given
    return run_search(searcher, world, archive, InProcess(evaluate), evaluations=24 + evaluations, given=given)


def near(records, limits):
    return [record for record in records if 0.85 <= used_share(record.costs, limits) <= 1]


@pytest.mark.parametrize("limits", [LIMITS, LIMITS[:1], LIMITS[1:], [limit("params_m", 0.02)]])
def test_it_adds_architectures_just_below_the_budget(searched, tmp_path, limits):
    copy = searched.copy_to(tmp_path / "copy.jsonl")
    focus(copy, limits=limits)
    added = copy.records[24:]
    assert len(added) == 14
    assert {record.how for record in added} == {"focus"}
    assert len(near(added, limits)) >= 10
    assert len(near(added, limits)) / 14 > 2 * len(near(searched.records, limits)) / 24


def test_the_finished_archive_stays_as_it_is(searched, tmp_path):
    content = searched.path.read_bytes()
    copy = searched.copy_to(tmp_path / "copy.jsonl")
    focus(copy)
    assert searched.path.read_bytes() == content
    assert copy.path.read_bytes().startswith(content)


def test_killed_again_and_again_it_ends_with_the_same_bytes(searched, tmp_path):
    expected = searched.copy_to(tmp_path / "expected.jsonl")
    focus(expected)
    path, dying = tmp_path / "killed.jsonl", killed_every(4)
    searched.copy_to(path)
    kills = 0
    while True:
        try:
            focus(type(searched).open(path, header()), dying)
            break
        except Killed:
            kills += 1
    assert kills == 13 // 3
    assert path.read_bytes() == expected.path.read_bytes()


def test_called_again_it_adds_nothing(searched, tmp_path):
    copy = searched.copy_to(tmp_path / "copy.jsonl")
    focus(copy)
    content = copy.path.read_bytes()
    focus(copy)
    assert copy.path.read_bytes() == content


def test_it_finds_a_better_architecture_under_the_budget_than_was_there(searched, tmp_path):
    copy = searched.copy_to(tmp_path / "copy.jsonl")
    tight = [limit("flops_g", true_costs(searched.records[0].arch)["flops_g"] * 2)]
    focus(copy, limits=tight)

    def best(records):
        return min(record.loss for record in records if used_share(record.costs, tight) <= 1)

    assert best(copy.records) < best(searched.records)


def test_its_parents_are_near_the_budget_by_the_costs_that_it_hears_of(searched, tmp_path):
    """As after a refit: what was just below the budget in the archive is far from it now, and the other way round."""
    tight = [limit("flops_g", 0.0007)]
    told = sorted(searched.records, key=lambda record: abs(np.log(used_share(record.costs, tight))))
    swapped = dict(zip(map(attrgetter("digest"), told), map(attrgetter("costs"), reversed(told)), strict=True))
    heard = [replace(record, costs=swapped[record.digest]) for record in searched.records]
    searcher = FocusedSearch(problem(), FocusedOptions(parents=3), 1, tight)
    searcher.tell(heard)
    shares = [abs(np.log(used_share(swapped[parent.digest], tight))) for parent in searcher._parents()]
    stale = FocusedSearch(problem(), FocusedOptions(parents=3), 1, tight)
    stale.tell(searched.records)
    assert max(shares) < 0.5
    assert {parent.digest for parent in searcher._parents()}.isdisjoint(each.digest for each in stale._parents())


def test_the_limits_of_the_search_hold_too(searched, tmp_path):
    copy = searched.copy_to(tmp_path / "copy.jsonl")
    within = limit("params_m", float(np.median([record.costs["params_m"].mean for record in searched.records])))
    focus(copy, limits=[limit("flops_g", 0.0007)], limits_of_search=(within,))
    assert len(copy) == 38
    assert all(record.costs["params_m"].mean <= within.max for record in copy.records[24:])
