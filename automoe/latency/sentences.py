"""`Panel`: the few real sentences that every architecture translates while it is timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automoe.decoding import Int64Array
from automoe.errors import ConfigError
from automoe.files import digest_of


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Sentences, and how long the translation of each is made."""

    sources: tuple[tuple[int, ...], ...]
    """Token ids of each sentence, its end symbol included."""
    lengths: tuple[int, ...]
    """Tokens of each translation, its end symbol not counted."""

    @property
    def digest(self) -> str:
        """Hash of sentences and lengths, 12 hexadecimal digits."""
        return digest_of([self.sources, self.lengths])

    @property
    def steps(self) -> int:
        """Decoding steps of one pass over all sentences: a step a token, end symbols included."""
        return sum(self.lengths) + len(self.lengths)

    def __len__(self) -> int:
        return len(self.sources)


def panel(source_ids: Sequence[Int64Array], target_lengths: Sequence[int], count: int) -> Panel:
    """Picks sentences at even quantiles of the translation's length, so that their mean is that of the corpus.

    Always the same ones for the same corpus. Pairs with an empty side are left out.

    Args:
        source_ids: token ids of each sentence, its end symbol included.
        target_lengths: tokens of the reference translation of each, its end symbol not counted.
        count: how many to pick.

    Raises:
        ConfigError: the corpus has fewer.
    """
    if len(source_ids) != len(target_lengths):
        raise ValueError(f"{len(source_ids)} sentences, but {len(target_lengths)} lengths")
    keys = [
        (int(target), len(source), index)
        for index, (source, target) in enumerate(zip(source_ids, target_lengths, strict=True))
        if len(source) > 1 and target > 0
    ]
    if not 1 <= count <= len(keys):
        raise ConfigError(
            "profile.sentences",
            count,
            "the corpus has fewer sentences",
            allowed=f"1 to {len(keys)}" if keys else None,
        )
    keys.sort()
    picked = [keys[(2 * place + 1) * len(keys) // (2 * count)] for place in range(count)]
    return Panel(
        sources=tuple(tuple(int(token) for token in source_ids[index]) for _, _, index in picked),
        lengths=tuple(target for target, _, _ in picked),
    )
