"""Padded batches of a split of a prepared corpus, sentences of like length together, as NumPy arrays.

Shape suffixes: B sentences, S source length, L target length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from automoe.data.prepare import PreparedData
from automoe.decoding.stepper import Int64Array
from automoe.decoding.symbols import PAD


class Batch(NamedTuple):
    """Token ids of some sentence pairs, padded on the right."""

    source_BS: Int64Array
    previous_BL: Int64Array
    """The target shifted right, the end symbol first: what the decoder reads under teacher forcing."""
    target_BL: Int64Array
    """The target: what the decoder should say at each position."""


def padded_batches(prepared: PreparedData, split: str, max_tokens: int, limit: int | None = None) -> Iterator[Batch]:
    """All sentence pairs of a split, from the shortest to the longest.

    Args:
        prepared: the corpus.
        split: `train`, `valid` or `test`.
        max_tokens: a batch has no more, paddings included, on the longer side; a sentence above it comes alone.
        limit: take only so many pairs, spread evenly over the lengths; None takes all.
    """
    sources, targets = prepared.ids(split, "src"), prepared.ids(split, "tgt")
    lengths = np.maximum(sources.lengths, targets.lengths)
    for batch_rows in _filled(spread_rows(prepared, split, limit), lengths, max_tokens):
        target_BL = _padded([targets[row] for row in batch_rows])
        shifted_BL = _padded([np.roll(targets[row], 1) for row in batch_rows])  # the end symbol moves to the front
        yield Batch(_padded([sources[row] for row in batch_rows]), shifted_BL, target_BL)


def spread_rows(prepared: PreparedData, split: str, limit: int | None = None) -> list[int]:
    """Sentence pairs of a split, from the shortest to the longest; arguments as for `padded_batches`.

    Returns:
        Their indices in the split.
    """
    lengths = np.maximum(prepared.ids(split, "src").lengths, prepared.ids(split, "tgt").lengths)
    rows = np.argsort(lengths, kind="stable")
    if limit is not None and limit < len(rows):
        rows = rows[(2 * np.arange(limit) + 1) * len(rows) // (2 * limit)]  # the middle of each of `limit` parts
    found: list[int] = rows.tolist()
    return found


def _filled(rows: Sequence[int], lengths: Int64Array, max_tokens: int) -> Iterator[list[int]]:
    """`rows`, which go from the shortest to the longest, as many at once as fit."""
    batch: list[int] = []
    for row in rows:
        if batch and (len(batch) + 1) * lengths[row] > max_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _padded(sentences: Sequence[Int64Array]) -> Int64Array:
    ids_BS = np.full((len(sentences), max(map(len, sentences))), PAD, dtype=np.int64)
    for row, ids_S in zip(ids_BS, sentences, strict=True):
        row[: len(ids_S)] = ids_S
    return ids_BS
