import os
import signal
import sys
import time
from pathlib import Path

import pytest

from automoe.errors import AutoMoEError
from automoe.search.store_pool import StorePool
from automoe.search.worker import work
from tests.search.analytic import evaluate, sampled
from tests.search.store.evaluating import Place

ARCHS = list(dict.fromkeys(sampled(4, 0)))
ROOT = Path(__file__).parents[3]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Place(where=str(tmp_path / "store"), lease_s=20.0)


def pool_of(place, workers, kind="works"):
    def command(_number):
        return [sys.executable, "-m", "tests.search.store.local", place.where]

    return StorePool(place.open(), workers=workers, command=command, given=kind.encode())


def submitted(pool):
    for arch in ARCHS:
        pool.submit(arch)
    return pool


def test_workers_that_the_pool_starts_evaluate_and_are_gone_at_the_end(place):
    with pool_of(place, 2) as pool:
        assert pool.slots == 3
        submitted(pool)
        pids = [process.pid for process in pool._local._processes]
        found = dict(pool.next() for _ in ARCHS)
    assert found == {arch.digest: evaluate(arch) for arch in ARCHS}
    assert all(not Path(f"/proc/{pid}").exists() for pid in pids)
    assert place.open().is_closed()


def test_nothing_to_evaluate_starts_no_process(place):
    with pool_of(place, 2) as pool:
        with pytest.raises(RuntimeError):
            pool.next()
        assert pool._local._processes == []


def test_a_failed_evaluation_ends_the_search_with_the_workers_message(place):
    with pytest.raises(AutoMoEError, match="the weights are damaged"), pool_of(place, 1, "fails") as pool:
        submitted(pool).next()
    assert not place.open().is_closed()


def test_a_defect_of_ours_in_an_evaluation_shows_the_workers_traceback(place):
    with (
        pytest.raises(RuntimeError, match="ZeroDivisionError: ours") as caught,
        pool_of(place, 2, "is defective") as pool,
    ):
        submitted(pool).next()
    (note,) = caught.value.__notes__
    assert 'raise ZeroDivisionError("ours")' in note and "local.py" in note


def test_a_defect_of_ours_that_ends_all_workers_shows_its_traceback(place, capsys):
    with pytest.raises(AutoMoEError, match="no worker is left"), pool_of(place, 2, "cannot begin") as pool:
        submitted(pool).next()
    assert 'raise ZeroDivisionError("ours")' in capsys.readouterr().err


def test_when_all_workers_are_dead_the_last_words_are_told(place):
    last_words = r"no worker is left.*status 3.*there is no such library"
    with pytest.raises(AutoMoEError, match=last_words), pool_of(place, 2, "dies") as pool:
        submitted(pool).next()


def test_an_interrupted_search_stops_its_workers_and_gives_their_work_back(place):
    with pytest.raises(KeyboardInterrupt), pool_of(place, 1, "sleeps") as pool:
        submitted(pool)
        (worker,) = pool._local._processes
        while not list(Path(place.where, "leases").iterdir()):
            time.sleep(0.02)
        time.sleep(0.1)
        raise KeyboardInterrupt
    assert worker.returncode == 130
    store = place.open()
    assert not store.is_closed()
    store.join("next")
    assert store.claim("next").arch == ARCHS[0]  # at once, though the lease is 20 s


def test_a_killed_worker_of_two_is_told_of_and_the_other_goes_on(place, capsys):
    with pool_of(place, 2, "sleeps") as pool:
        submitted(pool)
        os.kill(pool._local._processes[0].pid, signal.SIGKILL)
        pool._local._processes[0].wait()
        pool._check_workers()
    assert "worker 0 was killed by SIGKILL" in capsys.readouterr().err


def test_slots_are_the_living_workers_and_one_more_that_lies_ready(place):
    with StorePool(place.open()) as pool:
        assert pool.slots == 2
        others = [place.open() for _ in range(3)]
        for number, store in enumerate(others):
            store.join(f"other{number}")
        pool._living = (pool._living[0] - 10, frozenset())  # it counts once a second
        assert pool.slots == 4


def test_a_worker_leaves_a_silent_coordinator(tmp_path):
    place = Place(where=str(tmp_path))
    place.open().coordinate()
    assert work(place.open(), evaluate, "patient", patience_s=0.2) == 0


def test_a_worker_leaves_when_it_is_told_to(place):
    store = place.open()
    store.coordinate()
    for arch in ARCHS:
        store.post(arch)
    stays = iter([True, True, False])
    assert work(place.open(), evaluate, "one", stays=lambda: next(stays)) == 2
    assert len(store.outcomes()) == 2
