"""Who evaluates in a search that went on with fewer workers than it began with."""

import pytest

from automoe.pipeline.config import SearchSection
from automoe.pipeline.workers import meeting_of, pool_for
from automoe.search import make_searcher, run_search
from automoe.testing import middle_space, problem_of
from automoe.testing.problems import quality
from tests.search.test_loop import archive_of

CONTEXT = {"supernet": "a"}
PROBLEM = problem_of(middle_space(), "loss", "flops_g")


@pytest.fixture
def killed(tmp_path):
    """The folder of a search whose coordinator had asked for four and was killed; two were finished by workers."""
    out = tmp_path / "run" / "search" / "abc.partial"
    out.mkdir(parents=True)
    store = meeting_of(section(), out, CONTEXT).store()
    store.coordinate()
    asked = [arch for arch, _ in make_searcher("random", PROBLEM, {}, 2).ask(4)]
    for arch in asked:
        store.post(arch)
    store.leave()
    store.join("worker")
    for _ in range(2):
        claim = store.claim("worker")
        store.finish(claim, quality(claim.arch))
    return out, asked


def section(**fields):
    return SearchSection(searcher="random", options={}, **fields)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_one_process_takes_up_what_workers_were_given_and_keeps_what_they_finished(killed, asynchronous):
    out, asked = killed
    archive = archive_of(PROBLEM, out)
    evaluated = []

    def evaluate(arch):
        evaluated.append(arch)
        return quality(arch)

    with pool_for(section(asynchronous=asynchronous), lambda: evaluate, out, CONTEXT) as pool:
        searcher = make_searcher("random", PROBLEM, {}, 2)
        run_search(searcher, PROBLEM, archive, pool, evaluations=12, asynchronous=asynchronous)
    assert {record.arch for record in archive.records[:4]} == set(asked)
    assert len(evaluated) == 10
    assert set(asked) - set(evaluated) == set(asked[:2])
    assert not (out / "store").exists()


def test_nothing_is_loaded_where_nothing_is_evaluated(tmp_path):
    def refuse():
        raise AssertionError("loaded")

    out = tmp_path / "run" / "search" / "abc.partial"
    out.mkdir(parents=True)
    with pool_for(section(), refuse, out, CONTEXT) as pool:
        assert pool.slots == 1
