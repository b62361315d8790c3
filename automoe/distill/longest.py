"""Models that know so many positions and no more: how long their translations can be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from automoe.decoding import Stepper


@runtime_checkable
class BoundedStepper(Stepper, Protocol):
    """A stepper that lets nothing but the end symbol follow at the last position that its model knows."""

    @property
    def longest(self) -> int | None:
        """Most tokens of a translation, its end symbol counted; None: it knows every position."""


def longest_of(steppers: Iterable[Stepper]) -> int | None:
    """Most tokens, the end symbol counted, of a translation that all of them know the positions of; None: any."""
    found = [stepper.longest for stepper in steppers if isinstance(stepper, BoundedStepper)]
    return min((longest for longest in found if longest is not None), default=None)
