"""`ExpertLayers`: which layers have experts, as a choice of the space ("every 2", "encoder", "last 3", "free").

A pattern names the layers that have experts; the layers that it does not name are dense. It is written in words:

    free                every layer chooses its number of experts, 1 included
    all, none           every layer of both sides, no layer
    every N             the layers N, 2N, 3N... of each side, counted from 1 (Switch: every 2)
    first N, last N     of each side, as deep as it is
    encoder, decoder    all layers of one side; followed by one of the above but `free`, those layers of it
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from automoe.errors import SpaceError

SIDES = ("encoder", "decoder")
GRAMMAR = (
    "free, all, none, every N, first N, last N; or encoder or decoder, alone or before one of them (not free, none)"
)
_PATTERN = re.compile(r"(?:(encoder|decoder)(?: |$))?(?:(free|all|none)|(every|first|last) ([1-9][0-9]{0,3}))?")


@dataclass(frozen=True, kw_only=True)
class ExpertLayers:
    """One pattern of expert layers; a value."""

    kind: str
    """`free`, `all`, `none`, `every`, `first` or `last`."""
    number: int = 0
    """The N of `every`, `first` and `last`."""
    side: str | None = None
    """The only side that has expert layers; None: both."""

    @classmethod
    def parse(cls, text: str) -> ExpertLayers:
        """Reads a pattern as it is written in a space file.

        Raises:
            SpaceError: it is none.
        """
        found = _PATTERN.fullmatch(" ".join(text.split()))
        if not text.strip() or found is None or (found[1] and found[2] in ("free", "none")):
            raise SpaceError("is no pattern of expert layers", key="expert_layers", value=text, allowed=GRAMMAR)
        side, word, counted, number = found.groups()
        return cls(kind=word or counted or "all", number=int(number or 0), side=side)

    @property
    def is_free(self) -> bool:
        """Whether every layer chooses for itself."""
        return self.kind == "free"

    def has_experts(self, side: str, index: int, depth: int) -> bool:
        """Whether a layer has experts; of `free` nothing is known.

        Args:
            side: `encoder` or `decoder`.
            index: place of the layer, from 0.
            depth: layers of the side.
        """
        if self.side not in (None, side):
            return False
        if self.kind == "every":
            return (index + 1) % self.number == 0
        if self.kind == "first":
            return index < self.number
        if self.kind == "last":
            return index >= depth - self.number
        return self.kind == "all"

    def __str__(self) -> str:
        words = self.kind if not self.number else f"{self.kind} {self.number}"
        return words if self.side is None else f"{self.side} {words}".removesuffix(" all")
