"""Processor time of functions that take turns, on one thread and one core."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping

import pandas as pd

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # As a training of ours sets them: freed memory is kept for the next step.
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
}


def settle(core: int) -> None:
    """Keeps this process on one core; starts the program again if it was not started with `ENVIRONMENT`."""
    os.sched_setaffinity(0, {core})
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ENVIRONMENT)


def take_turns(functions: Mapping[str, Callable[[], object]], *, rounds: int, seconds: float) -> pd.DataFrame:
    """Calls each function for about so many seconds in every round.

    Returns:
        A row for each round: microseconds of processor time that a call of each function took.
    """
    calls = {name: _calls_in(function, seconds) for name, function in functions.items()}
    return pd.DataFrame(
        {name: 1e6 * _time(function, calls[name]) / calls[name] for name, function in functions.items()}
        for _ in range(rounds)
    )


def _calls_in(function: Callable[[], object], seconds: float) -> int:
    function()
    begin, calls = time.process_time(), 0
    while calls == 0 or time.process_time() - begin < seconds:
        function()
        calls += 1
    return calls


def _time(function: Callable[[], object], calls: int) -> float:
    begin = time.process_time()
    for _ in range(calls):
        function()
    return time.process_time() - begin
