"""What the loop promises whatever the searcher is."""

from dataclasses import replace
from itertools import count, pairwise

import pytest

from automoe.errors import AutoMoEError
from automoe.search import (
    COSTS,
    Archive,
    ArchiveHeader,
    InProcess,
    Remembering,
    loop,
    make_searcher,
    read_archive,
    run_search,
)
from automoe.search.searchers.focused import FocusedOptions, FocusedSearch
from automoe.testing import middle_space, problem_of, small_space
from automoe.testing.problems import quality


class Slots(InProcess):
    """As if several worked at once."""

    slots = 4


def archive_of(problem, folder):
    space = problem.codec.space
    header = ArchiveHeader(space=space.digest, space_name=space.name, costs=tuple(COSTS))
    return Archive.open(folder / "archive.jsonl", header)


def search_on(problem, archive, evaluations, pool=None, searcher="random", **fields):
    made = make_searcher(searcher, problem, {}, 1) if isinstance(searcher, str) else searcher
    return run_search(made, problem, archive, pool or InProcess(quality), evaluations=evaluations, **fields)


class Hears:
    """A searcher that only listens."""

    batch, replayed = 8, False

    def __init__(self):
        self.heard = []

    def ask(self, num, pending=()):
        return []

    def tell(self, records):
        self.heard += records


def test_the_searcher_hears_what_is_given_instead_of_what_stands_in_the_archive(tmp_path):
    problem = problem_of(middle_space(), "loss", "flops_g")
    archive = archive_of(problem, tmp_path)
    search_on(problem, archive, 24)
    given = [replace(record, costs={}) for record in archive.records[:10]]
    for asynchronous in (False, True):
        searcher = Hears()
        search_on(problem, archive, 40, searcher=searcher, given=given, asynchronous=asynchronous)
        assert searcher.heard[:10] == given
        if asynchronous:
            assert tuple(searcher.heard[10:]) == archive.records[10:]


def test_another_search_goes_on_behind_one_that_ended_before_its_time(tmp_path):
    problem = problem_of(small_space(), "loss", "flops_g")
    archive = archive_of(problem, tmp_path)
    search_on(problem, archive, 1000)
    limits = problem_of(small_space(), "loss", "flops_g", limit=0.5).limits
    for _ in range(2):  # as many rounds as there may be
        searcher = FocusedSearch(problem, FocusedOptions(), 1, limits)
        outcome = search_on(problem, archive, len(archive) + 24, searcher=searcher, given=archive.records)
        assert (outcome.evaluated, outcome.exhausted) == (60, True)


def test_an_archive_that_does_not_begin_with_what_is_given_is_refused(tmp_path):
    problem = problem_of(middle_space(), "loss", "flops_g")
    archive = archive_of(problem, tmp_path)
    search_on(problem, archive, 24)
    for given in (archive.records[1:], [*archive.records, archive.records[0]]):
        with pytest.raises(AutoMoEError, match="was not made by this search"):
            search_on(problem, archive, 40, given=given)


def test_only_a_space_of_which_all_was_looked_at_is_called_exhausted(tmp_path):
    searched = {}
    for name, space, limit in (("small", small_space(), 0.8), ("large", middle_space(), 0.01)):
        (tmp_path / name).mkdir()
        problem = problem_of(space, "loss", "flops_g", limit=limit)
        outcome = search_on(problem, archive_of(problem, tmp_path / name), 100)
        assert outcome.exhausted
        searched[name] = outcome.message
    assert "exhausted" in searched["small"]
    assert "exhausted" not in searched["large"]
    assert "no further architecture that keeps the limits was found" in searched["large"]


@pytest.mark.parametrize("limit", [None, 0.8])
def test_a_searcher_that_gives_up_exhausts_nothing(tmp_path, limit):
    problem = problem_of(small_space(), "loss", "flops_g", limit=limit)
    archive = archive_of(problem, tmp_path)
    search_on(problem, archive, 12)
    outcome = search_on(problem, archive, 40, searcher=Hears(), given=archive.records)
    assert outcome.exhausted
    assert "exhausted" not in outcome.message


def test_evolution_begins_over_the_whole_range_of_costs_when_it_is_asked_one_by_one_too(tmp_path):
    problem = problem_of(middle_space(), "loss", "flops_g")
    archive = archive_of(problem, tmp_path)
    search_on(problem, archive, 48, Slots(quality), "evolution", asynchronous=True)
    first, later = archive.records[:24], archive.records[24:]
    assert [record.how for record in first] == ["anchor"] * 2 + ["sample"] * 22
    assert sum(record.how in ("mutation", "crossover") for record in later) > 12  # the others are newcomers
    flops = sorted(problem.log_costs([record.costs for record in first])[:, 0])
    gaps = [high - low for low, high in pairwise(flops)]
    assert max(gaps) < 0.15 * (flops[-1] - flops[0])  # even steps would be 0.043 each


def test_what_was_left_over_is_taken_up_and_what_is_known_of_it_is_not_evaluated_again(tmp_path):
    problem = problem_of(middle_space(), "loss", "flops_g")
    archive = archive_of(problem, tmp_path)
    left = [arch for arch, _ in make_searcher("random", problem, {}, 2).ask(4)]
    evaluated = []

    def evaluate(arch):
        evaluated.append(arch)
        return quality(arch)

    known = {arch.digest: quality(arch) for arch in left[:3]}
    pool = Remembering(InProcess(evaluate), known, left)
    search_on(problem, archive, 12, pool, asynchronous=True)
    assert {record.arch for record in archive.records} >= set(left)
    assert not set(evaluated) & set(left[:3])
    assert len(evaluated) == 9
    assert pool.left_over == ()


@pytest.mark.parametrize(("seconds", "written"), [(0, [0] * 24 + [24] * 24 + [48] * 24), (2, list(range(72)))])
def test_a_record_is_written_at_once_or_with_its_generation_where_no_time_was_spent(
    tmp_path, monkeypatch, seconds, written
):
    problem = problem_of(middle_space(), "loss", "flops_g")
    archive = archive_of(problem, tmp_path)
    clock, sizes = count(step=seconds), []
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))

    def evaluate(arch):
        sizes.append(len(read_archive(archive.path)))
        return quality(arch)

    search_on(problem, archive, 72, InProcess(evaluate))
    assert sizes == written
