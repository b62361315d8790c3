"""`Record`: one evaluated architecture, as the archive keeps it. Nothing in it depends on time or machine load."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from automoe.search.evaluator import Estimate, Floats
from automoe.space import Architecture

ORIGINS = ("anchor", "sample", "mutation", "crossover", "focus")
"""How an architecture came to be evaluated; an anchor is the smallest or the largest, focus is near a budget."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One evaluated architecture."""

    index: int
    """Its place in the archive, from 0."""
    digest: str
    """`Architecture.digest`."""
    arch: Architecture
    loss: float
    """Validation loss with inherited weights, nats per token."""
    costs: Mapping[str, Estimate]
    """By name, see `COSTS`."""
    generation: int
    how: str
    """One of `ORIGINS`."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: one line of the archive."""
        return {
            "index": self.index,
            "digest": self.digest,
            "architecture": self.arch.to_dict(),
            "loss": self.loss,
            "costs": {name: list(estimate) for name, estimate in self.costs.items()},
            "origin": {"generation": self.generation, "how": self.how},
        }

    @classmethod
    def from_dict(cls, form: Any) -> Record:
        """Reads the JSON form.

        Raises:
            ValueError: it is not what `to_dict` makes; the message says why.
        """
        try:
            record = cls(
                index=form["index"],
                digest=form["digest"],
                arch=Architecture.from_dict(form["architecture"]),
                loss=form["loss"],
                costs={name: Estimate(*triple) for name, triple in form["costs"].items()},
                generation=form["origin"]["generation"],
                how=form["origin"]["how"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"is not an evaluated architecture ({error!r})") from None
        record.check()
        return record

    def check(self) -> None:
        """Checks what the types do not say.

        Raises:
            ValueError: a number that is none, an interval that is none, a digest of something else.
        """
        if self.digest != self.arch.digest:
            raise ValueError(f"the digest {self.digest!r} belongs to another architecture")
        if not _is_number(self.loss):
            raise ValueError(f"the loss is {self.loss!r}, which is not a number")
        for name, estimate in self.costs.items():
            if not (all(map(_is_number, estimate)) and min(estimate) > 0 and estimate.lower <= estimate.upper):
                raise ValueError(f"{name} is {list(estimate)!r}, allowed are mean, lower and upper above 0")
        if type(self.generation) is not int or self.generation < 0 or self.how not in ORIGINS:
            raise ValueError(f"the origin is {self.how!r} in generation {self.generation!r}")


def objectives(records: Sequence[Record], costs: Sequence[str]) -> Floats:
    """What is to be made small, for sorting by dominance.

    Returns:
        float64 of shape (N, 1 + costs): the loss and the logarithm of each cost's mean. The logarithm changes no
        order; it spreads cheap architectures as evenly as costly ones.
    """
    rows = [[record.loss, *(math.log(record.costs[name].mean) for name in costs)] for record in records]
    return np.array(rows, dtype=np.float64).reshape(len(records), 1 + len(costs))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
