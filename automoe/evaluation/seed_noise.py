"""How far two trainings of one architecture differ by their seeds alone, and which pairs differ by more.

Shape suffixes: N architectures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from automoe.errors import DataError

FloatArray = npt.NDArray[np.float64]
Runs = Sequence[Sequence[float]]
"""For each architecture the qualities of its trainings, one for each seed; not all need equally many."""


def means_of(runs: Runs) -> FloatArray:
    """The mean quality of each architecture over its seeds, shape (N,).

    Raises:
        DataError: an architecture has no training, or one whose quality is not finite.
    """
    for index, values in enumerate(runs):
        if not len(values):
            raise DataError("the architecture has no training", key=f"runs[{index}]")
        if not np.isfinite(values).all():
            raise DataError(
                "a quality is infinite or no number (NaN)",
                key=f"runs[{index}]",
                value=list(values),
                hint="Train the architecture again with that seed, or leave the architecture out",
            )
    return np.array([np.mean(values) for values in runs], dtype=np.float64)


def seed_noise(runs: Runs) -> float | None:
    """Standard deviation of the quality of one architecture between seeds, pooled over architectures.

    The square root of the sum of squares about each architecture's mean, over the sum of its seeds less one: right
    for any numbers of seeds if the deviation is the same for all architectures.

    Returns:
        The deviation in units of the quality; None if no architecture has two seeds.

    Raises:
        DataError: as `means_of`.
    """
    means_of(runs)  # for its checks
    freedom = sum(len(values) - 1 for values in runs)
    if freedom == 0:
        return None
    return math.sqrt(sum(float(np.var(values)) * len(values) for values in runs) / freedom)


def clear_pairs(runs: Runs, noise: float, times: float) -> npt.NDArray[np.bool_]:
    """Which pairs of architectures differ by more than their seeds explain.

    Args:
        runs: qualities.
        noise: standard deviation between seeds of one architecture (`seed_noise`).
        times: how many standard deviations of the difference of two means the difference has to exceed.

    Returns:
        Shape (N, N), symmetric, never true on the diagonal.

    Raises:
        DataError: as `means_of`.
    """
    mean_N = means_of(runs)
    variance_N = noise**2 / np.array([len(values) for values in runs])
    differences_NN = np.abs(mean_N[:, None] - mean_N[None, :])
    return differences_NN > times * np.sqrt(variance_N[:, None] + variance_N[None, :])
