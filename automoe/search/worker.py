"""A worker of a search: claims architectures in a store and evaluates them, until the search is over."""

from __future__ import annotations

import os
import platform
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from automoe.errors import AutoMoEError
from automoe.search.evaluator import Evaluator, Quality
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
    held: list[Claim] = []

    def beat() -> None:
        store.beat(worker)
        for claim in tuple(held):
            store.renew(claim)

    delivered = 0
    pause = Pause()
    with _interrupted_when_terminated(), Heartbeat(beat, store.lease_s / BEATS_PER_LEASE):
        while stays() and not store.is_closed():
            claim = store.claim(worker)
            if claim is None:
                if store.silence() > patience_s:
                    break
                pause.wait()
                continue
            held.append(claim)
            quality = _evaluated(store, evaluate, claim)
            if store.finish(claim, quality):
                delivered += 1
                if on_progress is not None:
                    on_progress(claim.arch, quality)
            held.clear()
            pause.reset()
    return delivered


def _evaluated(store: Store, evaluate: Evaluator, claim: Claim) -> Quality:
    try:
        return evaluate(claim.arch)
    except AutoMoEError as error:
        store.fail(claim, str(error))
        raise
    except Exception as error:
        store.fail(claim, f"{type(error).__name__}: {error}")
        raise
    except BaseException:
        store.release(claim)
        raise


@contextmanager
def _interrupted_when_terminated() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, so that the claim is given back: batch systems announce the end with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
