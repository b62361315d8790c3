"""`Interruption`: SIGTERM and Ctrl-C, heard where they do no harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """A context in which SIGTERM, with which batch systems announce the end, and Ctrl-C wait until they are allowed.

    So they never fall between taking a piece of work and remembering that it was taken. A second Ctrl-C does not
    wait. Outside the main thread, which alone hears signals, the context changes nothing.
    """

    def __init__(self) -> None:
        self._heard = self._allowed = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raises KeyboardInterrupt if a signal came."""
        if self._heard:
            raise KeyboardInterrupt

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """A context in which a signal raises KeyboardInterrupt at once; one that came before does so too."""
        self._allowed = True
        try:
            self.check()
            yield
        finally:
            self._allowed = False

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        again, self._heard = self._heard, True
        if self._allowed or (again and number == signal.SIGINT):
            raise KeyboardInterrupt
