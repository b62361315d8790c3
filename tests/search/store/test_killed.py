"""Workers and coordinators are killed with SIGKILL; nothing is lost and nothing is evaluated twice."""

import os
import signal
import threading
import time
from collections import Counter

import numpy as np
import pytest

from automoe.errors import AutoMoEError
from automoe.search import make_searcher, run_search
from automoe.search.store_pool import StorePool
from tests.search.analytic import new_archive, problem, sampled, search_on
from tests.search.store.evaluating import PROCESSES, Crowd, Logged, Place

SEED = 3


def search(folder, place, evaluations, *, asynchronous=False):
    """One coordinator without workers of its own."""
    folder.mkdir(exist_ok=True)
    world = problem()
    with StorePool(place.open()) as pool:
        run_search(
            make_searcher("evolution", world, {}, SEED), world, new_archive(folder), pool,
            evaluations=evaluations, asynchronous=asynchronous,
        )  # fmt: skip
    return new_archive(folder)


def search_under_fire(tmp_path, place, log, *, kills, evaluations, asynchronous, workers=3):
    """A search whose workers are killed at random moments until it ends; at least `kills` times."""
    rng = np.random.default_rng(SEED)
    over = threading.Event()
    with Crowd(place, log, workers) as crowd:

        def fire():
            while not over.wait(float(rng.uniform(0.0, 0.15))):
                crowd.kill_at_random(rng)
                if crowd.kills >= kills:
                    return

        killer = threading.Thread(target=fire)
        killer.start()
        try:
            archive = search(tmp_path / "shared", place, evaluations, asynchronous=asynchronous)
        finally:
            over.set()
            killer.join()
    assert crowd.kills >= kills, "the search ended too early: let it evaluate more"
    return archive


def none_lost_none_twice(archive, log, kills):
    digests = [record.digest for record in archive.records]
    begun = Counter(log.begun())
    assert set(begun) == set(digests) and len(set(digests)) == len(digests)
    assert sum(begun.values()) - len(digests) <= kills  # only what a killed worker had begun was begun again


FEW = {"kills": 6, "evaluations": 36}
MANY = {"kills": 50, "evaluations": 150}
SIZES = [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)]


@pytest.mark.parametrize("size", SIZES)
def test_by_generations_the_archive_of_killed_workers_equals_that_of_one_process(tmp_path, size):
    place, log = Place(where=str(tmp_path / "store")), Logged(log=tmp_path / "log", seconds=0.1)
    archive = search_under_fire(tmp_path, place, log, asynchronous=False, **size)
    alone = tmp_path / "alone"
    alone.mkdir()
    search_on(new_archive(alone), seed=SEED, evaluations=size["evaluations"])
    assert archive.path.read_bytes() == (alone / "archive.jsonl").read_bytes()
    none_lost_none_twice(archive, log, size["kills"])


@pytest.mark.parametrize("size", SIZES)
def test_asynchronously_killed_workers_lose_nothing_and_repeat_nothing(tmp_path, size):
    place, log = Place(where=str(tmp_path / "store")), Logged(log=tmp_path / "log", seconds=0.1)
    archive = search_under_fire(tmp_path, place, log, asynchronous=True, **size)
    assert len(archive) == size["evaluations"]
    none_lost_none_twice(archive, log, size["kills"])


@pytest.mark.parametrize("kind", ["folder", pytest.param("sqlite", marks=pytest.mark.slow), "journal"])
def test_several_workers_evaluate_each_architecture_once(tmp_path, kind):
    where = {
        "folder": f"{tmp_path}/store",
        "sqlite": f"sqlite:///{tmp_path}/s.db",
        "journal": f"journal:///{tmp_path}/s.log",
    }
    place, log = Place(where=where[kind], lease_s=20.0), Logged(log=tmp_path / "log", seconds=0.01)
    with Crowd(place, log, 3) as crowd:
        archive = search(tmp_path / "shared", place, 16)
        assert crowd.kills == 0
    assert sorted(log.begun()) == sorted(record.digest for record in archive.records)


def _coordinate(folder, place, evaluations):
    search(folder, place, evaluations)


def test_a_killed_coordinator_goes_on_and_nothing_finished_is_evaluated_again(tmp_path):
    place, log = Place(where=str(tmp_path / "store"), lease_s=20.0), Logged(log=tmp_path / "log", seconds=0.05)
    folder = tmp_path / "shared"
    folder.mkdir()
    new_archive(folder)
    rng, hits = np.random.default_rng(SEED), 0
    with Crowd(place, log, 3):
        for _ in range(3):
            coordinator = PROCESSES.Process(target=_coordinate, args=(folder, place, 96))
            coordinator.start()
            time.sleep(float(rng.uniform(0.2, 0.6)))
            hits += coordinator.is_alive()
            coordinator.kill()
            coordinator.join()
        archive = search(folder, place, 96)
    assert hits >= 1  # the first one: 96 evaluations take longer than its sleep
    alone = tmp_path / "alone"
    alone.mkdir()
    search_on(new_archive(alone), seed=SEED, evaluations=96)
    assert archive.path.read_bytes() == (alone / "archive.jsonl").read_bytes()
    assert sorted(log.begun()) == sorted(record.digest for record in archive.records)


def test_what_a_killed_coordinator_left_is_offered_to_the_next(tmp_path):
    place, log = Place(where=str(tmp_path / "store"), lease_s=20.0), Logged(log=tmp_path / "log")
    archs = list(dict.fromkeys(sampled(5, 0)))
    first = place.open()
    first.coordinate()
    for arch in archs:
        first.post(arch)
    first.leave()
    with StorePool(place.open()) as pool:
        assert set(pool.left_over) == set(archs)
        with Crowd(place, log, 2):
            for arch in pool.left_over:
                pool.submit(arch)
            assert {pool.next().digest for _ in archs} == {arch.digest for arch in archs}
        assert pool.left_over == ()
    assert len(log.begun()) == len(archs)


def test_a_stopped_workers_architecture_is_evaluated_by_another_and_its_late_result_ignored(tmp_path):
    place, log = Place(where=str(tmp_path / "store")), Logged(log=tmp_path / "log", seconds=0.3)
    (arch,) = sampled(1, 0)
    with StorePool(place.open()) as pool, Crowd(place, log, 0) as crowd:
        pool.submit(arch)
        stopped = crowd.start()
        while not log.log.exists():
            time.sleep(0.02)
        os.kill(stopped.pid, signal.SIGSTOP)
        crowd.start()
        assert pool.next().digest == arch.digest
        os.kill(stopped.pid, signal.SIGCONT)
        second = list(dict.fromkeys(sampled(3, 1)))
        for each in second:
            pool.submit(each)
        assert {pool.next().digest for _ in second} == {each.digest for each in second}
    assert log.begun().count(arch.digest) == 2
    assert place.open().outcomes()[0].quality is not None


def test_two_searches_at_once_are_refused(tmp_path):
    place = Place(where=str(tmp_path / "store"))
    with StorePool(place.open()), pytest.raises(AutoMoEError, match="coordinates this search already"):
        search(tmp_path / "second", place, 3)
