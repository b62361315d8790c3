"""`SearchConfig`, how translations are searched for, and `Hypothesis`, what a search finds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from automoe.decoding.stepper import Int64Array
from automoe.errors import ConfigError

MAX_BEAM = 1000
"""Far beyond any use; a slip of the keyboard would take all memory."""
MAX_LENGTH_PENALTY = 10.0
"""Either way; length ** length_penalty must stay within float32."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How translations are searched for; the same meaning as fairseq-generate's options."""

    beam: int = 5
    """Hypotheses that are followed, and finished ones that end the search; 1 is greedy (`--beam`)."""
    length_penalty: float = 1.0
    """Hypotheses are ranked by score / length ** length_penalty, the end symbol counted (`--lenpen`)."""
    max_ratio: float = 2.0
    """With `max_extra`: the longest output, see `limit` (`--max-len-a`)."""
    max_extra: int = 10
    """See `limit` (`--max-len-b`)."""
    min_length: int = 1
    """Fewest tokens of a translation, its end symbol not counted (`--min-len`); a lower limit comes first."""

    def __post_init__(self) -> None:
        if not is_whole(self.beam) or not 1 <= self.beam <= MAX_BEAM:
            raise ConfigError("beam", self.beam, allowed=f"whole numbers from 1 to {MAX_BEAM}")
        if not _is_number(self.length_penalty) or abs(self.length_penalty) > MAX_LENGTH_PENALTY:
            allowed = f"numbers from {-MAX_LENGTH_PENALTY:g} to {MAX_LENGTH_PENALTY:g}"
            raise ConfigError("length_penalty", self.length_penalty, allowed=allowed)
        if not _is_number(self.max_ratio) or self.max_ratio < 0:
            raise ConfigError("max_ratio", self.max_ratio, allowed=">= 0")
        if not is_whole(self.max_extra) or self.max_extra < 1:
            raise ConfigError("max_extra", self.max_extra, allowed="whole numbers >= 1")
        if not is_whole(self.min_length) or self.min_length < 1:
            raise ConfigError("min_length", self.min_length, allowed="whole numbers >= 1")

    def limit(self, source_length: int) -> int:
        """Most tokens of a translation, its end symbol not counted.

        fairseq computes it from the longest source of the batch; here it is the sentence's own length, so
        that a translation does not depend on its neighbours.

        Args:
            source_length: tokens of the source, its end symbol included.
        """
        return int(self.max_ratio * source_length + self.max_extra)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        form = asdict(self)
        if self.min_length == 1:  # versions before this key read what does not need it
            del form["min_length"]
        return form

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> SearchConfig:
        """Reads the JSON form of `to_dict`."""
        return cls(**form)


@dataclass(frozen=True, kw_only=True, eq=False)
class Hypothesis:
    """One finished translation, as token ids."""

    tokens: Int64Array
    """Its tokens, the end symbol last."""
    score: float
    """Sum of the natural log probabilities of all tokens."""
    normalised: float
    """`score / len(tokens) ** length_penalty`: what hypotheses are ranked by."""


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
