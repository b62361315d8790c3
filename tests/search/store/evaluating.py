"""Workers for tests: processes that evaluate a formula, take their time, and log what they begin.

A log line is one write to a file opened with O_APPEND, so the lines of many processes do not mix.
"""

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automoe.search import Quality
from automoe.search.store import FolderStore, NoStoreError, OptunaStore
from automoe.search.worker import work
from automoe.space import Architecture
from tests.search.analytic import loss

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a store is, for another process."""

    where: str
    """A folder, or a URL."""
    context: str = "weights"
    lease_s: float = 0.5

    def open(self) -> FolderStore | OptunaStore:
        if "://" in self.where:
            return OptunaStore(self.where, "jobs", self.context, self.lease_s)
        return FolderStore(self.where, self.context, self.lease_s)


@dataclass(frozen=True, kw_only=True)
class Logged:
    """An evaluator that appends the digest to a file when it begins."""

    log: Path
    seconds: float = 0.0

    def __call__(self, arch: Architecture) -> Quality:
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{arch.digest}\n".encode())
        os.close(descriptor)
        time.sleep(self.seconds)
        return Quality(loss(arch))

    def begun(self) -> list[str]:
        return self.log.read_text().split()


def run_worker(place: Place, evaluate: Logged, name: str) -> None:
    store = place.open()
    while True:  # it may be started before the coordinator
        try:
            store.join(name)
            break
        except NoStoreError:
            time.sleep(0.02)
    work(store, evaluate, name, patience_s=30)


class Crowd:
    """Worker processes that can be killed and are replaced."""

    def __init__(self, place: Place, evaluate: Logged, num: int) -> None:
        self._place, self._evaluate, self._num = place, evaluate, num
        self._processes: list[multiprocessing.Process] = []
        self._started = 0
        self.kills = 0

    def __enter__(self):
        for _ in range(self._num):
            self.start()
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.kill()
            process.join()

    def start(self):
        name = f"worker{self._started}"
        process = PROCESSES.Process(target=run_worker, args=(self._place, self._evaluate, name), daemon=True)
        process.start()
        self._started += 1
        self._processes.append(process)
        return process

    def kill_at_random(self, rng: np.random.Generator):
        """Kills one with SIGKILL, as a machine that loses power does, and starts another."""
        victim = self._processes.pop(int(rng.integers(len(self._processes))))
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        self.kills += 1
        self.start()
