"""`Signs`: who lives, judged by counters that change. No clock but our own is read."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any


class Signs:
    """Remembers when each counter was last seen to change."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, Any], tuple[Any, float]] = {}
        self._stale: set[tuple[str, Any]] = set()

    def see(self, counters: Mapping[tuple[str, Any], Any], *, stale: bool = False) -> None:
        """Looks at the counters, each by its kind and name.

        Args:
            counters: what they show now.
            stale: they may be of the dead: those that are new count as living only when they change.
        """
        now = time.monotonic()
        for key, counter in counters.items():
            if key not in self._seen:
                self._stale.update({key} if stale else ())
            elif self._seen[key][0] == counter:
                continue
            else:
                self._stale.discard(key)
            self._seen[key] = (counter, now)

    def age(self, key: tuple[str, Any]) -> float:
        """Seconds since the counter was seen to change, or for the first time; infinite if it never was."""
        return time.monotonic() - self._seen[key][1] if key in self._seen else math.inf

    def changed(self, key: tuple[str, Any]) -> bool:
        """Whether the counter changed since it was seen stale."""
        return key in self._seen and key not in self._stale

    def living(self, kind: str, within_s: float) -> list[Any]:
        """The names of the counters of a kind that changed in the last `within_s` seconds."""
        return [key[1] for key in self._seen if key[0] == kind and self.changed(key) and self.age(key) <= within_s]
