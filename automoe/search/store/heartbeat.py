"""Signs of life from a thread, and the pauses of who waits for others."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Self

from automoe.errors import AutoMoEError


class Heartbeat:
    """Calls `beat` every `interval_s` seconds in a thread of its own, as long as the context lasts.

    A beat that fails is tried again at the next one: what is wrong shows when the main thread uses the store. A
    defect of ours, which may not show there, prints its traceback once.
    """

    def __init__(self, beat: Callable[[], None], interval_s: float) -> None:
        self._beat, self._interval_s = beat, interval_s
        self._over = threading.Event()
        self._defects: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._interval_s):
            try:
                self._beat()
            except (AutoMoEError, OSError):
                continue
            except Exception as error:
                if repr(error) not in self._defects:
                    self._defects.add(repr(error))
                    traceback.print_exc()


class Pause:
    """Waits between looks at a store: the longer in vain, the longer.

    Args:
        shortest_s: the first pause, in seconds.
        longest_s: the longest; a pause is at most a tenth of the time since `reset`, but never below the first.
    """

    def __init__(self, shortest_s: float = 0.02, longest_s: float = 1.0) -> None:
        self._shortest_s, self._longest_s = shortest_s, longest_s
        self._since = time.monotonic()

    def reset(self) -> None:
        """Something happened: begins with short pauses again."""
        self._since = time.monotonic()

    def wait(self) -> None:
        """Sleeps."""
        waited = time.monotonic() - self._since
        time.sleep(min(self._longest_s, max(self._shortest_s, waited / 10)))
