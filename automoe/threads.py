"""How many threads a model may be given."""

from __future__ import annotations

from automoe.errors import ConfigError

MAX_THREADS = 256
"""No model of ours gains from more, and OpenMP crashes when the system refuses a thread."""


def check_threads(key: str, threads: int) -> None:
    """Checks a number of threads that a user gave under `key`.

    Raises:
        ConfigError: it is below 1 or above `MAX_THREADS`.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise ConfigError(key, threads, allowed=f"1 to {MAX_THREADS}")
