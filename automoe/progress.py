"""Progress of long work, on stderr: a line that renews itself on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

_REDRAW_SECONDS = 0.2
_LOG_SECONDS = 60.0
_SILENT_SECONDS = 2.0
"""Work that ends sooner than this shows nothing."""


class Progress:
    """Counts finished units of work and shows done, total, rate and time left.

    Use it as a context manager: `with Progress("training", total=2000, unit="update") as progress: ...`.

    Args:
        label: what is going on.
        total: units in all; None if unknown.
        unit: what is counted, in the singular.
        done: units that were finished before (a resumed run).
    """

    def __init__(
        self,
        label: str,
        *,
        total: int | None = None,
        unit: str = "item",
        done: int = 0,
        stream: TextIO | None = None,
    ) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._done = self._done_before = done
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._begin = self._shown_at = time.monotonic()
        self._shown_width = 0

    def advance(self, units: int = 1, note: str = "") -> None:
        """Adds finished units; `note` (a loss, a file name) stands at the end of the line."""
        self._done += units
        now = time.monotonic()
        pause = _REDRAW_SECONDS if self._terminal else _LOG_SECONDS
        if now - self._begin >= _SILENT_SECONDS and now - self._shown_at >= pause:
            self._shown_at = now
            self._show(self._line(now - self._begin, note))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.monotonic() - self._begin
        if seconds >= _SILENT_SECONDS:
            self._show(self._line(seconds, "" if kind is None else "stopped"), last=True)

    def _line(self, seconds: float, note: str) -> str:
        rate = (self._done - self._done_before) / max(seconds, 1e-9)
        total = "" if self._total is None else f"/{self._total}"
        line = f"{self._label}: {self._done}{total} {self._unit}s, {rate:.3g}/s"
        if self._total is not None and self._done < self._total and rate > 0:
            line += f", {_duration((self._total - self._done) / rate)} left"
        elif self._done == self._total:
            line += f", {_duration(seconds)}"
        return f"{line}, {note}" if note else line

    def _show(self, line: str, last: bool = False) -> None:
        if self._terminal:
            padding = " " * max(0, self._shown_width - len(line))
            self._shown_width = len(line)
            self._stream.write("\r" + line + padding + ("\n" if last else ""))
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
