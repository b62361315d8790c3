"""Which target tokens each source token produced: the shortlist, by IBM Model 1 (Brown et al. 1993, section 4.1).

Model 1 explains every target token of a pair by one source token, each equally likely beforehand, or by the empty
word; expectation maximisation finds the translation probabilities t(target | source) under which the training pairs
are likeliest. The source's end symbol, which closes every source, serves as the empty word, and the target's is left
out: it is in every shortlist.

Source tokens are worked through in blocks of the vocabulary, so that a dense block of the table fits into memory
whatever the vocabulary (0.4 GB for 32,000 tokens, with what is kept of the others). Beside it stand the tokens of the
corpus and two more numbers for each target token: 0.5 GB for every million pairs of 30 tokens a side. Time is
proportional to the iterations and the links (the sum over pairs of source length times target length), about 0.1
microseconds each: 90 seconds for a million such pairs and one iteration.

Shape suffixes: N pairs, S source tokens and T target tokens of all pairs, X tokens of some pairs, L links of some
pairs, V vocabulary, C cells of a block (its source tokens times V), E entries of a sparse block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from automoe.decoding.shortlist import Shortlist
from automoe.decoding.stepper import Float32Array, Int64Array
from automoe.decoding.symbols import BOS, EOS, PAD
from automoe.errors import ConfigError

Int32Array = npt.NDArray[np.int32]
Float64Array = npt.NDArray[np.float64]

_BLOCK_CELLS = 1 << 24
_CHUNK_LINKS = 1 << 18
"""Links that are looked at together; their arrays stay in the processor's cache."""
_LEAST_PROBABILITY = 2e-4
"""Smaller ones are forgotten between iterations: a row then has at most 5,000 entries."""
_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True, kw_only=True)
class ShortlistConfig:
    """What the shortlist of a source token holds."""

    per_token: int = 100
    """Most target tokens for one source token."""
    frequent: int = 100
    """So many of the most frequent target tokens are in every list."""
    min_count: float = 0.1
    """A target token is listed if the source token produced it at least so often in training, by expectation."""
    iterations: int = 5
    """Iterations of expectation maximisation; 1 counts co-occurrences."""

    def __post_init__(self) -> None:
        for name, value, least in (
            ("per_token", self.per_token, 1),
            ("frequent", self.frequent, 1),
            ("iterations", self.iterations, 1),
        ):
            if value < least:
                raise ConfigError(f"export.shortlist.{name}", value, allowed=f">= {least}")
        if not self.min_count > 0:
            raise ConfigError("export.shortlist.min_count", self.min_count, allowed="> 0")


def build_shortlist(
    sources: Iterable[Int64Array],
    targets: Iterable[Int64Array],
    vocab_size: int,
    config: ShortlistConfig | None = None,
) -> Shortlist:
    """Builds the shortlist of a corpus; the same pairs give the same list.

    Args:
        sources: token ids of each source sentence, its end symbol included.
        targets: token ids of their translations, in the same order, end symbols included.
        vocab_size: size of the joint vocabulary.
        config: what the list holds; by default `ShortlistConfig()`.

    Raises:
        ValueError: there are not as many sources as targets.
    """
    config = config or ShortlistConfig()
    corpus = _Corpus(sources, targets, vocab_size)
    height = max(1, _BLOCK_CELLS // vocab_size)
    blocks = [_Block(corpus, low, min(low + height, vocab_size)) for low in range(0, vocab_size, height)]
    total_T = corpus.source_lengths()
    for _ in range(config.iterations - 1):
        next_total_T = np.zeros_like(total_T)
        for block in blocks:
            block.maximise(block.expected_counts(total_T))
            block.add_probabilities(next_total_T)
        total_T = next_total_T
    rows = [row for block in blocks for row in _most_produced(block.expected_counts(total_T), vocab_size, config)]
    always = [*corpus.most_frequent_targets(config.frequent), *rows[EOS]]
    rows[EOS] = []
    return Shortlist.from_rows(always, rows)


class _Corpus:
    """All pairs, token after token, and the links between the tokens of a pair."""

    def __init__(self, sources: Iterable[Int64Array], targets: Iterable[Int64Array], vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self._source_S, self._source_offsets = _flat(sources)
        self.target_T, self._target_offsets = _flat(target_L[target_L != EOS] for target_L in targets)
        if len(self._source_offsets) != len(self._target_offsets):
            counts = f"{len(self._source_offsets) - 1} sources, {len(self._target_offsets) - 1} targets"
            raise ValueError(f"sources and targets are no pairs: {counts}")

    def source_lengths(self) -> Float32Array:
        """For every target token the number of source tokens of its pair."""
        lengths_N = np.diff(self._source_offsets).astype(np.float32)
        return np.repeat(lengths_N, np.diff(self._target_offsets))

    def most_frequent_targets(self, count: int) -> list[int]:
        """The most frequent target tokens, of equally frequent ones the lower ids; those that occur at least once."""
        count_V = np.bincount(self.target_T, minlength=self.vocab_size)
        count_V[[BOS, PAD]] = 0
        order_V = np.argsort(-count_V, kind="stable")[:count]
        return order_V[count_V[order_V] > 0].tolist()

    def links(self, low: int, high: int) -> Iterator[tuple[slice, Int32Array, Int32Array]]:
        """The links of the source tokens `low` to `high - 1`, some pairs at a time.

        Yields:
            The place of these pairs in `target_T`; for every link the position of its target token in there,
            and its cell: (source token - low) * V + target token.
        """
        source_lengths_N, target_lengths_N = np.diff(self._source_offsets), np.diff(self._target_offsets)
        for first, last in self._chunks(source_lengths_N * target_lengths_N):
            source_place = slice(self._source_offsets[first], self._source_offsets[last])
            target_place = slice(self._target_offsets[first], self._target_offsets[last])
            lengths_N = source_lengths_N[first:last]
            begin_N = self._target_offsets[first:last] - target_place.start
            source_X = self._source_S[source_place]
            run_X = np.repeat(target_lengths_N[first:last].astype(np.int32), lengths_N)
            begin_X = np.repeat(begin_N.astype(np.int32), lengths_N)
            if (low, high) != (0, self.vocab_size):
                chosen_X = (low <= source_X) & (source_X < high)
                source_X, run_X, begin_X = source_X[chosen_X], run_X[chosen_X], begin_X[chosen_X]
            end_X = np.cumsum(run_X, dtype=np.int32)
            position_L = np.arange(run_X.sum(), dtype=np.int32)
            position_L -= np.repeat(end_X - run_X - begin_X, run_X)
            cell_L = np.repeat((source_X - np.int32(low)) * np.int32(self.vocab_size), run_X)
            cell_L += self.target_T[target_place][position_L]
            yield target_place, position_L, cell_L

    @staticmethod
    def _chunks(links_N: Int64Array) -> Iterator[tuple[int, int]]:
        """First and last (excluded) pair of every chunk; a pair with more links is a chunk of its own."""
        total_N = np.cumsum(links_N)
        first, before = 0, 0
        while first < len(links_N):
            last = max(first + 1, int(np.searchsorted(total_N, before + _CHUNK_LINKS, side="right")))
            yield first, last
            first, before = last, int(total_N[last - 1])


class _Block:
    """The rows t(. | source) of the source tokens `low` to `high - 1`; in the beginning all t are alike."""

    def __init__(self, corpus: _Corpus, low: int, high: int) -> None:
        self._corpus, self._low, self._high = corpus, low, high
        self._num_cells = (high - low) * corpus.vocab_size
        self._entries: tuple[Int32Array, Float32Array] | None = None
        """Cells and their t; other cells have 0."""

    def expected_counts(self, total_T: Float32Array) -> Float64Array:
        """How often each source token produced each target token, by expectation.

        Args:
            total_T: for every target token the sum of its t over the source tokens of its pair.

        Returns:
            `count_C`.
        """
        t_C = self._dense()
        count_C = np.zeros(self._num_cells)
        for place, position_L, cell_L in self._corpus.links(self._low, self._high):
            total_X = np.maximum(total_T[place], _TINY)  # 0: all that could have produced it was forgotten
            share_L = t_C[cell_L] / total_X[position_L]
            np.add.at(count_C, cell_L, share_L.astype(np.float64))  # of another type it is 15 times slower
        return count_C

    def maximise(self, count_C: Float64Array) -> None:
        """Sets t to the share of each count in its row."""
        cell_E = np.flatnonzero(count_C).astype(np.int32)
        row_E = cell_E // self._corpus.vocab_size
        t_E = count_C[cell_E] / np.bincount(row_E, count_C[cell_E])[row_E]
        kept_E = t_E >= _LEAST_PROBABILITY
        self._entries = cell_E[kept_E], t_E[kept_E].astype(np.float32)

    def add_probabilities(self, total_T: Float32Array) -> None:
        """Adds to every target token the t of this block's source tokens in its pair."""
        t_C = self._dense()
        for place, position_L, cell_L in self._corpus.links(self._low, self._high):
            np.add.at(total_T[place], position_L, t_C[cell_L])

    def _dense(self) -> Float32Array:
        if self._entries is None:
            return np.ones(self._num_cells, dtype=np.float32)
        t_C = np.zeros(self._num_cells, dtype=np.float32)
        t_C[self._entries[0]] = self._entries[1]
        return t_C


def _flat(sentences: Iterable[Int64Array]) -> tuple[Int32Array, Int64Array]:
    """All tokens one after the other, and where each sentence begins and the last ends."""
    small = [sentence.astype(np.int32) for sentence in sentences]
    offsets = np.zeros(len(small) + 1, dtype=np.int64)
    np.cumsum([len(sentence) for sentence in small], out=offsets[1:])
    return np.concatenate([*small, np.zeros(0, np.int32)]), offsets


def _most_produced(count_C: Float64Array, vocab_size: int, config: ShortlistConfig) -> list[Sequence[int]]:
    """For each source token of a block the target tokens that it produced most often; ties: the lower ids."""
    cell_E = np.flatnonzero(count_C >= config.min_count)
    row_E, token_E = np.divmod(cell_E, vocab_size)
    order_E = np.lexsort((token_E, -count_C[cell_E], row_E))
    ends = np.cumsum(np.bincount(row_E, minlength=len(count_C) // vocab_size))
    return [row[: config.per_token].tolist() for row in np.split(token_E[order_E], ends[:-1])]
