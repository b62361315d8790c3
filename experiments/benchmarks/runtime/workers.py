"""`Worker`: an engine in a process of its own, on one thread and one core, and the rounds that compare several.

The process is this file run as a program. It imports nothing but its engine's packages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from task import Task

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def resident_bytes() -> int:
    """Memory of this process that is in RAM now, mapped files included."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])


@dataclass(frozen=True, kw_only=True)
class Spec:
    """An engine, and how to call it in tables."""

    label: str
    engine: str
    """One of `engines.ENGINES`."""
    options: Mapping[str, Any]
    """Its arguments."""
    environment: Mapping[str, str] = field(default_factory=dict)


class Worker:
    """A process that holds one engine. Use it as a context.

    Args:
        spec: the engine.
        core: the processor that it may use.
        log: the file for what it says on stderr.
    """

    def __init__(self, spec: Spec, *, core: int, log: Path) -> None:
        self.label = spec.label
        self._connection, theirs = Pipe()
        environment = {**os.environ, **ONE_THREAD, **spec.environment, "CT2_VERBOSE": "1"}
        self._log = log
        with log.open("wb") as stderr:
            command = [sys.executable, __file__, str(theirs.fileno()), str(core)]
            self._process = subprocess.Popen(command, env=environment, stderr=stderr, pass_fds=[theirs.fileno()])
        theirs.close()
        self._connection.send((spec.engine, dict(spec.options)))
        self._receive()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.wait()

    def call(self, method: str, *args: Any) -> Any:
        """Calls a method of `Station`, or else of its engine."""
        self._connection.send((method, args))
        return self._receive()

    def _receive(self) -> Any:
        try:
            worked, result = self._connection.recv()
        except EOFError:
            worked, result = False, self._log.read_text(errors="replace")[-2000:]
        if not worked:
            raise RuntimeError(f"{self.label}: {result}")
        return result


class Station:
    """What a worker does. Args: its engine."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self._run: Any = None
        self._last = 0.0

    def prepare(self, task: Task) -> list[list[int]]:
        """Takes on a task and does it once.

        Returns:
            The tokens of the best translation of each sentence.
        """
        self._run = self.engine.job(task)
        return self.engine.tokens(self._run())

    def block(self, seconds: float) -> float:
        """Does the task again and again, for about so long; before, once to warm up if it is shorter than that.

        Returns:
            Seconds that it took each time, on average.
        """
        if self._last < seconds:
            self._run()
        calls, begin = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - begin) < seconds or not calls:
            self._run()
            calls += 1
        self._last = elapsed / calls
        return self._last

    def resident(self) -> int:
        """Memory of the process in RAM, in bytes."""
        return resident_bytes()


def rounds(workers: Sequence[Worker], count: int, seconds: float) -> list[dict[str, float]]:
    """Lets prepared workers work in turns, so that whatever the machine does hits all alike.

    Args:
        workers: they have got their tasks.
        count: number of rounds.
        seconds: length of each one's block in a round.

    Returns:
        For each round the milliseconds of each worker's task, by label.
    """
    return [{worker.label: 1e3 * worker.call("block", seconds) for worker in workers} for _ in range(count)]


def start(specs: Sequence[Spec], stack: ExitStack, *, core: int, logs: Path) -> dict[str, Worker]:
    """Starts workers that end with `stack`, by label; prints what they run with."""
    logs.mkdir(parents=True, exist_ok=True)
    workers = {}
    for spec in specs:
        log = logs / (re.sub(r"\W+", "-", spec.label) + ".log")
        workers[spec.label] = stack.enter_context(Worker(spec, core=core, log=log))
        variables = [f"{key}={value}" for key, value in spec.environment.items()]
        says = re.findall(r"- ((?:Selected ISA|Use Intel MKL|SGEMM backend|GEMM_S8 backend): .+)", log.read_text())
        settings = ", ".join([workers[spec.label].call("settings"), *variables, *says])
        print(f"  {spec.label}: {settings}", flush=True)
    return workers


def _serve(connection: Connection) -> None:
    from engines import ENGINES

    name, options = connection.recv()
    method, args = "settings", ()
    station = None
    while True:
        try:
            if station is None:
                station = Station(ENGINES[name](**options))
            target = station if hasattr(station, method) else station.engine
            answer = (True, getattr(target, method)(*args))
        except Exception:
            answer = (False, traceback.format_exc())
        connection.send(answer)
        try:
            method, args = connection.recv()
        except EOFError:
            return


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[2])})
    _serve(Connection(int(sys.argv[1])))
