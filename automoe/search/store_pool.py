"""`StorePool`: evaluates through a store, in worker processes here and elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from automoe.errors import AutoMoEError
from automoe.search.evaluator import Quality
from automoe.search.local_workers import LocalWorkers
from automoe.search.pool import Finished
from automoe.search.store import COORDINATOR, Heartbeat, Outcome, Pause, Store
from automoe.search.worker import BEATS_PER_LEASE
from automoe.space import Architecture

_LONELY_S = 5.0
_COUNTED_S = 1.0


class StorePool:
    """A `Pool` over a store: a context in which this process coordinates.

    Left without an error, the search is over and the store is closed. Left by an error, the store stays open: workers
    elsewhere wait for the search to be started again, and nothing that they finish is lost.

    Args:
        store: where the workers are met.
        workers: processes that are started here, with the first architecture; 0 leaves all work to others.
        command: the program and the arguments of the worker of each number, counted from 0.
        given: what each of them reads from its standard input.
        invitation: how others join, for the message when nobody is there.
    """

    def __init__(
        self,
        store: Store,
        *,
        workers: int = 0,
        command: Callable[[int], Sequence[str]] | None = None,
        given: bytes = b"",
        invitation: str = "Start workers with: automoe worker run=NAME",
    ) -> None:
        if workers and command is None:
            raise ValueError("workers are started by a command")
        self._store, self._workers, self._invitation = store, workers, invitation
        self._local = LocalWorkers(command, workers, given) if command is not None and workers else None
        self._heartbeat = Heartbeat(lambda: store.beat(COORDINATOR), store.lease_s / BEATS_PER_LEASE)
        self._wanted: set[str] = set()
        self._found: dict[str, Quality] = {}
        self._left_over: dict[str, Architecture] = {}
        self._living: tuple[float, frozenset[str]] = (-_COUNTED_S, frozenset())
        self._alone_since: float | None = None

    def __enter__(self) -> Self:
        self._store.coordinate()
        try:
            self._store.beat(COORDINATOR)
            self._take_in()
            self._left_over = {arch.digest: arch for arch in self._store.posted()} | self._left_over
            self._heartbeat.__enter__()
        except BaseException:
            self._store.leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._heartbeat.__exit__(kind, error, trace)
            if kind is None:
                self._store.close()
        finally:
            if self._local is not None:
                self._local.stop()
            if kind is None or not issubclass(kind, AutoMoEError):
                self._store.leave()
            else:  # the storage may be what failed: the first error is the one to tell
                self._leave_quietly()

    @property
    def slots(self) -> int:
        """See `Pool.slots`: the workers that live, at least those that are started here, and one more.

        So the next architecture lies ready when a worker ends, or when one joins while this process waits in `next`;
        further ones that join then get something as soon as any worker ends.
        """
        return max(1, self._workers, len(self._workers_now())) + 1

    @property
    def left_over(self) -> tuple[Architecture, ...]:
        """What an earlier coordinator posted and is not submitted here: it is or was evaluated all the same.

        Submit them to have their results; those that are finished cost nothing.
        """
        return tuple(arch for digest, arch in self._left_over.items() if digest not in self._wanted)

    def submit(self, arch: Architecture) -> None:
        """See `Pool.submit`."""
        digest = arch.digest
        self._wanted.add(digest)
        if digest not in self._found:
            self._store.post(arch)
            if self._local is not None:
                self._local.start()

    def next(self) -> Finished:
        """See `Pool.next`."""
        if not self._wanted:
            raise RuntimeError("nothing was submitted")
        pause = Pause()
        while True:
            ready = next((digest for digest in self._found if digest in self._wanted), None)
            if ready is not None:
                self._wanted.discard(ready)
                self._left_over.pop(ready, None)
                return Finished(ready, self._found[ready])
            if not self._take_in():
                self._check_workers()
                pause.wait()

    def _take_in(self) -> bool:
        """Reads new results; whether there were any."""
        outcomes = self._store.outcomes()
        for outcome in outcomes:
            if outcome.quality is None:
                raise _failed(outcome)
            self._found[outcome.arch.digest] = outcome.quality
            self._left_over.setdefault(outcome.arch.digest, outcome.arch)
        return bool(outcomes)

    def _workers_now(self) -> frozenset[str]:
        """The living workers, without those that were started here and died; counted once a second."""
        if time.monotonic() - self._living[0] >= _COUNTED_S:
            self._living = (time.monotonic(), self._store.workers())
        dead = self._local.dead_names() if self._local is not None else frozenset()
        return self._living[1] - dead

    def _check_workers(self) -> None:
        """Raises if all that were started here died and there are no others; says it if there are none yet."""
        if self._local is not None and self._local.running:
            for word in self._local.news():
                print(word, file=sys.stderr, flush=True)
            return
        if self._workers_now():
            self._alone_since = None
        elif self._local is not None and self._local.started:
            self._take_in()  # what they delivered before they died: a failed evaluation is the better message
            if trace := self._local.last_trace():
                print(trace, file=sys.stderr, flush=True)
            raise AutoMoEError(
                f"no worker is left: {self._local.last_words()}", key="search.workers", value=self._workers,
                hint="Nothing that was finished is lost: mend it and run the same command again",
            )  # fmt: skip
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
        elif self._alone_since > 0 and time.monotonic() - self._alone_since > _LONELY_S:
            self._alone_since = -1.0
            print(f"waiting for workers. {self._invitation}", file=sys.stderr, flush=True)

    def _leave_quietly(self) -> None:
        try:
            self._store.leave()
        except AutoMoEError:
            return


def _failed(outcome: Outcome) -> Exception:
    """The error of an evaluation that failed: the user's, or a defect of ours, with its traceback."""
    key, problem = f"architecture {outcome.arch.digest}", f"could not be evaluated by the worker {outcome.worker}"
    if outcome.trace:
        defect = RuntimeError(f"{key}: {problem}: {outcome.message}")
        defect.add_note(f"\nThere it was:\n{outcome.trace}")
        return defect
    hint = "Nothing that was finished is lost: mend it and run the same command again"
    return AutoMoEError(f"{problem}: {outcome.message}", key=key, hint=hint)
