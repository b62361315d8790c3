"""What a search is handed: how good an architecture is, and what it costs. Other rooms implement both.

Shape suffix: N architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from automoe.space import Architecture

Floats = NDArray[np.floating[Any]]


class Estimate(NamedTuple):
    """One cost of one architecture: what is expected and between what it lies; all equal where it is exact."""

    mean: float
    lower: float
    upper: float

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """A value that is known."""
        return cls(value, value, value)


class Interval(Protocol):
    """One cost of N architectures; `predictor.Prediction` is one."""

    @property
    def mean_N(self) -> Floats:
        """What is expected."""

    @property
    def lower_N(self) -> Floats:
        """Lower end of the interval."""

    @property
    def upper_N(self) -> Floats:
        """Upper end of the interval."""


class Quality(NamedTuple):
    """How good an architecture is."""

    loss: float
    """On the validation set, nats per token; lower is better."""
    bleu: float | None = None
    """0 to 100, higher is better; None where nothing was translated."""


class Evaluator(Protocol):
    """How good architectures are."""

    def __call__(self, arch: Architecture, /) -> Quality:
        """The quality of an architecture; the same for equal ones."""


class CostPredictor(Protocol):
    """What architectures cost."""

    def __call__(self, archs: Sequence[Architecture], /) -> Mapping[str, Interval]:
        """The costs by name (see `COSTS`), each for all of `archs` in their order."""


Measure = Callable[[Architecture], tuple[float, float, float]]
"""Measures an architecture's latency now: median, lower and upper value in milliseconds per sentence."""


def estimates_of(costs: Mapping[str, Interval], num: int) -> list[dict[str, Estimate]]:
    """The predictions regrouped by architecture.

    Args:
        costs: what a `CostPredictor` gave.
        num: how many architectures it was asked for.

    Raises:
        ValueError: an interval has another length.
    """
    for name, interval in costs.items():
        if not num == len(interval.mean_N) == len(interval.lower_N) == len(interval.upper_N):
            raise ValueError(f"{name}: not one value for each of {num} architectures")
    return [
        {
            name: Estimate(float(each.mean_N[index]), float(each.lower_N[index]), float(each.upper_N[index]))
            for name, each in costs.items()
        }
        for index in range(num)
    ]
