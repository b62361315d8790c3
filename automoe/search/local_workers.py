"""Worker processes of this machine: `LocalWorkers` starts, watches and stops them, `work_locally` is what they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO

from automoe.errors import AutoMoEError
from automoe.search.evaluator import Evaluator
from automoe.search.store import Store
from automoe.search.worker import work, worker_name

COORDINATOR_PID = "AUTOMOE_COORDINATOR_PID"
"""The environment variable that tells a worker who started it: it leaves when that process has died."""
_STOP_PATIENCE_S = 5.0
_LAST_BYTES = 20_000
_TRACEBACK = "Traceback (most recent call last)"


class LocalWorkers:
    """Processes that run one command each.

    Args:
        command: the program and the arguments of the worker of each number, counted from 0.
        num: how many.
        given: what each of them reads from its standard input.
    """

    def __init__(self, command: Callable[[int], Sequence[str]], num: int, given: bytes = b"") -> None:
        self._command, self._num, self._given = command, num, given
        self._processes: list[subprocess.Popen[bytes]] = []
        self._said: list[IO[bytes]] = []
        self._told: set[int] = set()

    @property
    def started(self) -> bool:
        """Whether they were started."""
        return bool(self._processes)

    @property
    def running(self) -> bool:
        """Whether one of them runs."""
        return any(process.poll() is None for process in self._processes)

    def start(self) -> None:
        """Starts them; does nothing if they were started."""
        if self._processes:
            return
        environment = os.environ | {COORDINATOR_PID: str(os.getpid())}
        for number in range(self._num):
            with tempfile.TemporaryFile() as given:
                given.write(self._given)
                given.seek(0)
                said = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `stop`)
                self._said.append(said)
                self._processes.append(
                    subprocess.Popen(
                        list(self._command(number)), stdin=given, stdout=said, stderr=said, env=environment,
                        start_new_session=True,  # Ctrl-C is the coordinator's, which stops them in order
                    )
                )  # fmt: skip

    def dead_names(self) -> frozenset[str]:
        """The names of those that ended."""
        return frozenset(worker_name(process.pid) for process in self._processes if process.poll() is not None)

    def news(self) -> list[str]:
        """What is to be said of those that ended since the last call."""
        ended = [n for n, process in enumerate(self._processes) if process.poll() is not None and n not in self._told]
        self._told.update(ended)
        return [self._ending(number) for number in ended]

    def last_words(self) -> str:
        """How the worker ended that ended worst: one that was not stopped by a signal says most."""
        return self._ending(self._worst())

    def last_trace(self) -> str | None:
        """All that this worker said, if a defect of ours ended it."""
        said = self._said_by(self._worst())
        return said if _TRACEBACK in said else None

    def stop(self) -> None:
        """Ends them: asks first, and kills those that do not hear."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _STOP_PATIENCE_S
        for process in self._processes:
            try:
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for said in self._said:
            said.close()
        self._processes, self._said = [], []

    def _worst(self) -> int:
        return max(range(len(self._processes)), key=lambda number: self._processes[number].returncode or 0)

    def _ending(self, number: int) -> str:
        code = self._processes[number].returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        lines = self._said_by(number).splitlines()
        return f"worker {number} {how}" + (f" ({lines[-1].strip()})" if lines else "")

    def _said_by(self, number: int) -> str:
        said = self._said[number]
        said.seek(max(0, said.seek(0, os.SEEK_END) - _LAST_BYTES))
        return said.read().decode(errors="replace").strip()


def work_locally(open_store: Callable[[], Store], make_evaluator: Callable[[], Evaluator]) -> int:
    """What a process does that `LocalWorkers` started: works until the search is over or has died.

    Args:
        open_store: opens the coordinator's store, once what evaluates is loaded.
        make_evaluator: loads what evaluates.

    Returns:
        The exit status: 0, 2 for a mistake that the user can mend, 130 when stopped.
    """
    coordinator = int(os.environ[COORDINATOR_PID])
    try:
        evaluate = make_evaluator()
        work(open_store(), evaluate, worker_name(), stays=lambda: os.getppid() == coordinator)
    except AutoMoEError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0
