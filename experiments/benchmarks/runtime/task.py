"""What every engine is given to do: batches of sentences as token ids, and how long their translations are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FIRST_WORD, EOS = 4, 2
"""The first id that is no special symbol, and the end symbol."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Sentences that are translated together."""

    sources: tuple[tuple[int, ...], ...]
    """Token ids of each, its end symbol included."""
    words: int | None = None
    """Tokens of each translation before its end symbol; None: the model ends it."""

    @property
    def limit(self) -> int:
        """Most tokens of a translation that the model ends itself; one for all, since CTranslate2 has one."""
        return 2 * max(map(len, self.sources)) + 10


@dataclass(frozen=True, kw_only=True)
class Task:
    """Batches, one after the other."""

    batches: tuple[Batch, ...]
    beam: int = 5

    @property
    def num_sentences(self) -> int:
        """How many sentences there are."""
        return sum(len(batch.sources) for batch in self.batches)


def random_task(
    vocab_size: int,
    *,
    sentences: int = 1,
    batch: int = 1,
    source: int = 25,
    target: int = 25,
    beam: int = 5,
    seed: int = 0,
) -> Task:
    """Random sentences, all of one length.

    Args:
        vocab_size: number of token ids.
        sentences: how many.
        batch: sentences that are translated together.
        source: tokens of each, its end symbol included.
        target: decoding steps of each, so tokens of its translation with the end symbol.
        beam: hypotheses that are followed.
        seed: of the random words.
    """
    rng = np.random.default_rng(seed)
    words_BS = rng.integers(FIRST_WORD, vocab_size, (sentences, source - 1))
    sources = [(*row, EOS) for row in words_BS.tolist()]
    groups = [sources[first : first + batch] for first in range(0, sentences, batch)]
    return Task(batches=tuple(Batch(sources=tuple(group), words=target - 1) for group in groups), beam=beam)


def real_task(
    sources: Sequence[Sequence[int]], *, batch: int = 32, beam: int = 5, words: Sequence[int] | None = None
) -> Task:
    """Real sentences, sorted by length into batches; all engines get the same ones.

    Args:
        sources: token ids of each, its end symbol included.
        batch: sentences that are translated together.
        beam: hypotheses that are followed.
        words: tokens of the translation of each; a batch takes their mean. None: the model ends them.
    """
    order = sorted(range(len(sources)), key=lambda index: -len(sources[index]))
    batches = []
    for first in range(0, len(order), batch):
        together = order[first : first + batch]
        length = None if words is None else max(1, round(float(np.mean([words[index] for index in together]))))
        batches.append(Batch(sources=tuple(tuple(sources[index]) for index in together), words=length))
    return Task(batches=tuple(batches), beam=beam)
