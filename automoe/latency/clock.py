"""`clock_for`: the clock that a model is timed with."""

from __future__ import annotations

import time
from collections.abc import Callable


def clock_for(device: str, threads: int) -> Callable[[], float]:
    """Seconds, from any beginning.

    One thread on a CPU is timed by what the process computes: that is what passes on a core of its own, and what
    other processes take of a shared core does not count. While several jobs ran on two cores, two measurements of one
    model (8 passes each) differed by 31 % as the clock on the wall showed them and by 6 % in their ratio to the
    reference; by 6 % and 2 % in computing time (medians, 6 models). Several threads wait for each other, which is
    time, too.

    Args:
        device: "cpu"; or "cuda": the clock waits until the GPU, which works on its own, has done what it was given.
        threads: of the model.
    """
    if device == "cpu":
        return time.process_time if threads == 1 else time.perf_counter
    import torch

    def clock() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock
