"""Which architectures to measure next: those that a Gaussian process knows least about.

Shape suffixes: N measured architectures, C candidates, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automoe.predictor.calibration import check_measured
from automoe.predictor.features import SUMS, Encoder
from automoe.predictor.kernel import Kernel, most_uncertain
from automoe.predictor.predictor import FloatArray
from automoe.predictor.scaling import Scaling
from automoe.space import Architecture


def most_doubtful(
    archs: Sequence[Architecture], values_N: FloatArray, candidates: Sequence[Architecture], count: int
) -> list[int]:
    """Chooses architectures to measure, greedily by their variance given the measured and the chosen ones.

    Architectures that are alike in their sums over layers tell of each other: measuring one settles the rest.
    Candidates that differ in no feature are chosen in their order.

    Args:
        archs: measured architectures.
        values_N: their values.
        candidates: architectures to choose from.
        count: how many to choose, at most as many as there are.

    Returns:
        Indices into `candidates`, the most doubtful first; the same for the same arguments.

    Raises:
        AutoMoEError: there is too little to learn from.
        DependencyError: scikit-learn is not installed.
    """
    log_N = np.log(check_measured(archs, values_N))
    if not candidates:
        return []
    encoder = Encoder.for_architectures(archs, (SUMS,))
    # Of both: a feature in which only candidates differ is the most doubtful of all.
    scaling = Scaling.of(encoder.encode([*archs, *candidates]))
    z_NF, z_CF = scaling(encoder.encode(archs)), scaling(encoder.encode(candidates))
    if not scaling.names:
        return list(range(min(count, len(candidates))))
    kernel = Kernel.learn(z_NF, (log_N - log_N.mean()) / log_N.std())
    covariance_NN = kernel(z_NF, z_NF) + kernel.noise * np.eye(len(z_NF))
    covariance_NC = kernel(z_NF, z_CF)
    known_CC = covariance_NC.T @ np.linalg.solve(covariance_NN, covariance_NC)
    return most_uncertain(kernel(z_CF, z_CF) - known_CC, kernel.noise, count)
