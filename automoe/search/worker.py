"""A worker of a search: claims architectures in a store and evaluates them, until the search is over."""

from __future__ import annotations

import os
import platform
import re
import threading
import traceback
from collections.abc import Callable

from automoe.errors import AutoMoEError
from automoe.search.evaluator import Evaluator, Quality
from automoe.search.interruption import Interruption
from automoe.search.store import Claim, Heartbeat, Pause, Store
from automoe.space import Architecture

BEATS_PER_LEASE = 4
"""Signs of life in the time after which a silent worker loses its claim."""
PATIENCE_S = 600.0


def worker_name(pid: int | None = None) -> str:
    """The name of a process among all workers of all machines: this one, or another one of this machine."""
    host = re.sub(r"[^A-Za-z0-9_-]", "-", platform.node()).lstrip("-") or "host"
    return f"{host}.{os.getpid() if pid is None else pid}"


def work(
    store: Store,
    evaluate: Evaluator,
    worker: str,
    *,
    patience_s: float = PATIENCE_S,
    stays: Callable[[], bool] = lambda: True,
    on_progress: Callable[[Architecture, Quality], None] | None = None,
) -> int:
    """Evaluates what the store hands out, in this thread; another one gives signs of life.

    Args:
        store: the coordinator's; it is joined here.
        evaluate: must be the coordinator's too, as the store's context says.
        worker: a name that no other worker has.
        patience_s: leaves when there is nothing to do and the coordinator gave no sign for so long.
        stays: asked between two architectures; False ends the work.
        on_progress: hears of each result that this worker delivered.

    Returns:
        How many results it delivered first.

    Raises:
        AutoMoEError: evaluating failed (the coordinator is told, and ends the search), or the store does not answer.
        KeyboardInterrupt: interrupted or terminated; the claim is given back.
    """
    store.join(worker)
    held = _Held(store)

    def beat() -> None:
        store.beat(worker)
        held.renew()

    delivered = 0
    pause = Pause()
    with Interruption() as interruption, Heartbeat(beat, store.lease_s / BEATS_PER_LEASE):
        while stays() and not store.is_closed():
            interruption.check()
            claim = store.claim(worker)
            if claim is None:
                if store.silence() > patience_s:
                    break
                with interruption.allowed():
                    pause.wait()
                continue
            held.take(claim)
            try:
                with interruption.allowed():
                    quality = evaluate(claim.arch)
            except BaseException as error:
                held.drop()  # a renewal would undo what follows
                _give_back(store, claim, error)
                raise
            if store.finish(claim, quality):
                delivered += 1
                if on_progress is not None:
                    on_progress(claim.arch, quality)
            held.drop()
            pause.reset()
    return delivered


class _Held:
    """The claim that a worker holds now, if it holds one, renewed by another thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._claim: Claim | None = None
        self._lock = threading.Lock()

    def take(self, claim: Claim) -> None:
        with self._lock:
            self._claim = claim

    def drop(self) -> None:
        """It is not renewed any more once this returns."""
        with self._lock:
            self._claim = None

    def renew(self) -> None:
        with self._lock:
            if self._claim is not None:
                self._store.renew(self._claim)


def _give_back(store: Store, claim: Claim, error: BaseException) -> None:
    """Says what became of a claim that was not evaluated."""
    if isinstance(error, AutoMoEError):
        store.fail(claim, str(error))
    elif isinstance(error, Exception):  # a defect of ours
        store.fail(claim, f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))
    else:
        store.release(claim)
