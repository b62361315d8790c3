"""What a worker gives back, and when."""

import os
import signal
import threading

import pytest

from automoe.errors import AutoMoEError
from automoe.search import Quality
from automoe.search.store import FolderStore
from automoe.search.worker import work
from tests.search.analytic import evaluate, sampled

ARCHS = list(dict.fromkeys(sampled(3, 0)))


class Watched(FolderStore):
    """Does something in the middle of a method, as a signal or another thread may."""

    inside: str = ""

    def _meanwhile(self, method):
        if self.inside == method:
            self.inside = ""
            os.kill(os.getpid(), signal.SIGTERM)

    def claim(self, worker):
        claim = super().claim(worker)
        self._meanwhile("claim")
        return claim

    def finish(self, claim, quality):
        self._meanwhile("finish")
        return super().finish(claim, quality)


@pytest.fixture
def store(tmp_path):
    coordinator = FolderStore(tmp_path / "store", "weights", 1000.0)
    coordinator.coordinate()
    for arch in ARCHS:
        coordinator.post(arch)
    return coordinator


def worker_on(store, kind=FolderStore):
    return kind(store.path, "weights", 1000.0)


def next_claim(store):
    other = worker_on(store)
    other.join("other")
    return other.claim("other").arch


def test_a_worker_that_is_terminated_as_it_claims_gives_the_claim_back(store):
    worker = worker_on(store, Watched)
    worker.inside = "claim"
    with pytest.raises(KeyboardInterrupt):
        work(worker, evaluate, "one")
    assert store.outcomes() == [] and next_claim(store) == ARCHS[0]  # at once, though the lease is 1000 s


def test_a_worker_that_is_terminated_as_it_delivers_delivers(store):
    worker = worker_on(store, Watched)
    worker.inside = "finish"
    with pytest.raises(KeyboardInterrupt):
        work(worker, evaluate, "one")
    assert [outcome.arch for outcome in store.outcomes()] == ARCHS[:1] and next_claim(store) == ARCHS[1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, AutoMoEError, ZeroDivisionError])
def test_what_is_given_back_is_not_renewed_any_more(store, error):
    """A renewal begins while the worker evaluates; what gives back must wait for it, and none may follow."""
    calls, renewing, go_on = [], threading.Event(), threading.Event()

    class Renewing(FolderStore):
        def renew(self, claim):
            renewing.set()
            go_on.wait(10)
            calls.append("renew")

        def release(self, claim):
            calls.append("release")
            super().release(claim)

        def fail(self, claim, message, trace=""):
            calls.append("fail")

    def failing(_arch):
        renewing.wait(10)
        threading.Timer(0.1, go_on.set).start()
        raise error("no")

    store.leave()
    FolderStore(store.path, "weights", 0.02).coordinate()
    with pytest.raises(error):
        work(worker_on(store, Renewing), failing, "one")
    assert calls[-1] in ("release", "fail") and calls.count("renew") == 1


def test_a_defect_is_delivered_with_its_traceback_and_a_users_mistake_without(store):
    def mistaken(_arch):
        raise AutoMoEError("the weights are damaged")

    def defective(arch):
        return Quality(1 / 0)

    for evaluator, kind in ((mistaken, AutoMoEError), (defective, ZeroDivisionError)):
        with pytest.raises(kind):
            work(worker_on(store), evaluator, "one")
    mistake, defect = sorted(store.outcomes(), key=lambda outcome: len(outcome.trace))
    assert (mistake.message, mistake.trace) == ("the weights are damaged", "")
    assert defect.message == "ZeroDivisionError: division by zero"
    assert "return Quality(1 / 0)" in defect.trace
