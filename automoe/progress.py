"""Progress of long work, on stderr: a bar on a terminal (by rich), a line a minute elsewhere.

Where rich is not installed a terminal shows one line that renews itself. Work inside other work adds a bar below the
outer one, for as long as it lasts.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

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
        stream: where to show it; stderr by default.
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
        stream = sys.stderr if stream is None else stream
        self._stream: TextIO = getattr(stream, "rich_proxied_file", stream)  # inside other work stderr is rich's own
        self._terminal = self._stream.isatty()
        self._begin = self._shown_at = time.monotonic()
        self._display: _Display | None = None

    def advance(self, units: int = 1, note: str = "") -> None:
        """Adds finished units; `note` (a loss, a file name) stands at the end of the line."""
        self._done += units
        now = time.monotonic()
        pause = _REDRAW_SECONDS if self._terminal else _LOG_SECONDS
        if now - self._begin >= _SILENT_SECONDS and now - self._shown_at >= pause:
            self._shown_at = now
            self._show(self._state(now - self._begin, note))

    def end_here(self) -> None:
        """Makes what is done all that there is to do: the work ends before it was planned to."""
        self._total = self._done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.monotonic() - self._begin
        if seconds >= _SILENT_SECONDS:
            self._show(self._state(seconds, "" if kind is None else "stopped"), last=True)

    def _state(self, seconds: float, note: str) -> _State:
        rate = (self._done - self._done_before) / max(seconds, 1e-9)
        left = ""
        if self._total is not None and self._done < self._total and rate > 0:
            left = f"{_duration((self._total - self._done) / rate)} left"
        elif self._done == self._total:
            left = _duration(seconds)
        total = "" if self._total is None else f"/{self._total}"
        return _State(
            label=self._label,
            done=self._done,
            total=self._total,
            count=f"{self._done}{total} {self._unit}s",
            rate=f"{rate:.3g}/s",
            time=left,
            note=note,
        )

    def _show(self, state: _State, last: bool = False) -> None:
        if self._display is None:
            self._display = _display(self._stream, self._terminal)
        self._display.show(state, last)


@dataclass(frozen=True, kw_only=True)
class _State:
    """What is shown at one moment, in words."""

    label: str
    done: int
    total: int | None
    count: str
    rate: str
    time: str
    """Time left, or taken; empty if unknown."""
    note: str

    def __str__(self) -> str:
        return f"{self.label}: " + ", ".join(part for part in (self.count, self.rate, self.time, self.note) if part)


class _Display(Protocol):
    def show(self, state: _State, last: bool) -> None: ...


def _display(stream: TextIO, terminal: bool) -> _Display:
    if not terminal:
        return _Lines(stream)
    if os.environ.get("TERM", "") not in ("dumb", "unknown") and _Bar.can_join(stream):
        try:
            return _Bar(stream)
        except ImportError:  # an installation that only translates has no rich, and needs none
            pass
    return _OneLine(stream)


class _Lines:
    """A line each time: for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, state: _State, last: bool) -> None:
        self._stream.write(f"{state}\n")
        self._stream.flush()


class _OneLine:
    """One line that renews itself: for terminals, without rich."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._width = 0

    def show(self, state: _State, last: bool) -> None:
        line = str(state)
        padding = " " * max(0, self._width - len(line))
        self._width = len(line)
        self._stream.write("\r" + line + padding + ("\n" if last else ""))
        self._stream.flush()


class _Bar:
    """A bar of rich. A terminal has one block of bars: the outermost work opens and closes it, work inside joins it.

    Raises:
        ImportError: rich is not installed.
    """

    _open: Bars | None = None
    _on: TextIO | None = None
    _shown = 0

    def __init__(self, stream: TextIO) -> None:
        if _Bar._open is None:
            _Bar._open, _Bar._on = _bars(stream), stream
        self._bars = _Bar._open
        self._task: TaskID | None = None
        _Bar._shown += 1

    @classmethod
    def can_join(cls, stream: TextIO) -> bool:
        """Whether no bar is shown, or the bars are shown on `stream`."""
        return cls._on is None or cls._on is stream

    def show(self, state: _State, last: bool) -> None:
        fields: dict[str, Any] = {
            "count": state.count,
            "rate": state.rate,
            "time": state.time,
            "note": state.note,
        }
        if self._task is None:
            self._task = self._bars.add_task(state.label, total=state.total, completed=state.done, **fields)
            self._bars.start()
        self._bars.update(self._task, total=state.total, completed=state.done, **fields)
        if last:
            _Bar._shown -= 1
            if _Bar._shown:
                self._bars.remove_task(self._task)
        self._bars.refresh()
        if last and not _Bar._shown:
            self._bars.stop()
            _Bar._open = _Bar._on = None


def _bars(stream: TextIO) -> Bars:
    """The columns; the note gives way where the terminal is narrow. Drawn on demand: no thread, so forks are safe."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Note(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(task.fields["note"], style="dim", no_wrap=True, overflow="ellipsis")

    def text(field: str, style: str = "none") -> TextColumn:
        return TextColumn(f"{{task.{field}}}", style=style, markup=False, table_column=Column(no_wrap=True))

    return Progress(
        text("description"),
        BarColumn(bar_width=24),
        text("fields[count]"),
        text("fields[rate]", "dim"),
        text("fields[time]", "cyan"),
        Note(),
        console=Console(file=stream),
        auto_refresh=False,
        redirect_stdout=False,  # what a command prints belongs to stdout, wherever that leads
        redirect_stderr=stream is sys.stderr,
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
