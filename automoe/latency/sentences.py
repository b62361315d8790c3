"""`Panel`: the few sentences that every architecture translates while it is timed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from automoe.decoding import BOS, EOS, PAD, UNK, Int64Array
from automoe.errors import ConfigError
from automoe.files import digest_of

_FIRST_TOKEN = max(BOS, PAD, EOS, UNK) + 1
"""Ids below it are symbols and no words."""
PANEL_SEED = 0
"""Of the random sentences that are timed: the same wherever, so that a table of one machine serves on another."""


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


def random_panel(lengths: Sequence[int], vocab_size: int, seed: int) -> Panel:
    """Sentences of random tokens, for work of exactly the stated lengths: `[30]` is the pass that FLOPs count.

    Args:
        lengths: tokens of each sentence and of its translation alike, the end symbols counted; at least 2.
        vocab_size: entries of the vocabulary, the symbols counted.
        seed: another seed draws other tokens; the first sentences do not depend on how many follow.

    Raises:
        ConfigError: there is no length, or one too short to hold a token.
        ValueError: the vocabulary holds nothing but symbols.
    """
    if not lengths or min(lengths) < 2:
        raise ConfigError("profile.lengths", list(lengths), allowed="one or more numbers >= 2, end symbols counted")
    if vocab_size <= _FIRST_TOKEN:
        raise ValueError(f"a vocabulary of {vocab_size} entries holds no words")
    rng = np.random.default_rng([seed, zlib.crc32(b"panel"), 0])
    words = [rng.integers(_FIRST_TOKEN, vocab_size, length - 1).tolist() for length in lengths]
    return Panel(
        sources=tuple((*sentence, EOS) for sentence in words),
        lengths=tuple(int(length) - 1 for length in lengths),
    )
