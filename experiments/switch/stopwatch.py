"""How much processor time a training has taken at each update that it logs, without asking the training.

Linux counts it, for one thread undisturbed by what else the machine does. Validations and what comes before the first
update are left out. A training that was killed goes on with the time that it had taken at its checkpoint.
"""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from automoe.files import write_atomically
from automoe.training.log import FILE, read_log

TIMES = "seconds.csv"
"""In the folder of the training: update, processor seconds."""
_POLL_SECONDS = 0.2
_TICKS = os.sysconf("SC_CLK_TCK")


def read_times(folder: Path) -> dict[int, float]:
    """Processor seconds by update, as far as they are known."""
    path = folder / TIMES
    if not path.exists():
        return {}
    with path.open(newline="") as stream:
        return {int(row["update"]): float(row["seconds"]) for row in csv.DictReader(stream)}


class Account:
    """Adds up what a training takes from one record to the next, if that is one of training and not of validation."""

    def __init__(self, kept: Sequence[Mapping[str, Any]], times: Mapping[int, float], now: float) -> None:
        """Begins with the records that the training goes on from, what they took, and the time."""
        self.times = dict(times)
        """Seconds by update."""
        self._seen, self._spent, self._since = len(kept), max(times.values(), default=0.0), now

    def see(self, records: Sequence[Mapping[str, Any]], now: float) -> bool:
        """Takes note of all records so far; whether there are new ones."""
        new = records[self._seen :]
        for record in new:
            if record["kind"] == "train":
                self._spent += now - self._since
                self.times[record["update"]] = self._spent
            self._since = now
        self._seen = len(records)
        return bool(new)


class Stopwatch:
    """Times the training that the body of a `with` block carries out in `folder`, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Stopwatch:
        self._before = self._log_file()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _log_file(self) -> int | None:
        """What tells one log from the one that replaces it when a training begins or goes on."""
        path = self._folder / FILE
        return path.stat().st_ino if path.exists() else None

    def _watch(self) -> None:
        while self._log_file() == self._before:
            if self._ended.wait(_POLL_SECONDS):
                return  # nothing was trained
        now = _children_seconds()
        account = Account(read_log(self._folder), self._kept(), now)
        last = False
        while not last:
            last = self._ended.wait(_POLL_SECONDS)  # what was logged before the end is read once more
            now = _children_seconds() or now
            if account.see(read_log(self._folder), now):
                self._write(account.times)

    def _kept(self) -> dict[int, float]:
        """The times of what the training goes on from."""
        kept = {record["update"] for record in read_log(self._folder)}
        return {update: seconds for update, seconds in read_times(self._folder).items() if update in kept}

    def _write(self, times: dict[int, float]) -> None:
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("update", "seconds"))
        writer.writerows((update, f"{seconds:.2f}") for update, seconds in sorted(times.items()))
        write_atomically(self._folder / TIMES, out.getvalue())


def _children_seconds() -> float:
    """Processor seconds of the processes that this one has started and that still run."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()  # the name before may hold anything
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == os.getpid():
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS
