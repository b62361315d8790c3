"""`Record`: one evaluated architecture, as the archive keeps it. Nothing in it depends on time or machine load."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from automoe.search.evaluator import Estimate
from automoe.space import Architecture

_ORIGIN = re.compile(r"[a-z][a-z0-9_-]{0,31}")


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
    bleu: float | None = None
    """BLEU of the validation sentences with inherited weights; None where it is no objective."""
    costs: Mapping[str, Estimate]
    """By name, see `COSTS`."""
    generation: int
    how: str
    """How it came to be evaluated, a word: `anchor` (the smallest or the largest), `sample`, `mutation`, `crossover`,
    `focus` (near a budget), or what else a searcher says."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: one line of the archive."""
        return {
            "index": self.index,
            "digest": self.digest,
            "architecture": self.arch.to_dict(),
            "loss": self.loss,
            **({} if self.bleu is None else {"bleu": self.bleu}),
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
                bleu=form.get("bleu"),
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
        if self.bleu is not None and not (_is_number(self.bleu) and 0 <= self.bleu <= 100):
            raise ValueError(f"BLEU is {self.bleu!r}, allowed is 0 to 100")
        for name, estimate in self.costs.items():
            if not (all(map(_is_number, estimate)) and min(estimate) > 0 and estimate.lower <= estimate.upper):
                raise ValueError(f"{name} is {list(estimate)!r}, allowed are mean, lower and upper above 0")
        if (
            type(self.generation) is not int
            or self.generation < 0
            or not (isinstance(self.how, str) and _ORIGIN.fullmatch(self.how))
        ):
            raise ValueError(f"the origin is {self.how!r} in generation {self.generation!r}")


def quality_of(record: Record, name: str) -> float:
    """A quality of a record as it is to be made small: the loss, or 100 - BLEU.

    Raises:
        ValueError: the record has no BLEU.
    """
    if name == "loss":
        return record.loss
    if record.bleu is None:
        raise ValueError(f"the architecture {record.digest} was evaluated without BLEU")
    return 100 - record.bleu


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
