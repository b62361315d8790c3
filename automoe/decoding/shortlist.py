"""`Shortlist`: the target tokens that a source's tokens can become, so that the output layer scores only those.

The list of a batch is what is always in it (the end symbol, the unknown symbol, frequent tokens), what the batch's
tokens produced in the training data, and the batch's own tokens: whatever stands in the source, a placeholder symbol,
the bytes or letters of an unseen name, can always be copied piece by piece.

Two things follow for a model that scores a list only. Its log probabilities are normalised over the list, so they
are a little higher than over the vocabulary. And a batch has one list, that of all its sentences together, so a
translation depends a little on its neighbours.

Shape suffixes: V vocabulary, A tokens that are always in, P tokens of all rows, one row after the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.decoding.stepper import Int64Array
from automoe.decoding.symbols import EOS, UNK
from automoe.errors import BundleError

FORMAT = "automoe-shortlist"
FORMAT_VERSION = 1
SHORTLIST_SAMPLE = 64
"""Tokens that are not listed, from whose logits the probability of all such tokens is estimated."""

_DIGEST_BYTES = 32
_AGAIN = "Copy the bundle again from where it came, or export it again"

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shortlist:
    """For every source token the target tokens that it can become. All ids of a row are different and ascend."""

    always_A: Ids
    """Tokens of every list: the end symbol, the unknown symbol, and frequent ones."""
    offset_V: Int64Array
    """V + 1 positions: source token v has the row `token_P[offset_V[v]:offset_V[v + 1]]`."""
    token_P: Ids
    """Target tokens, row after row."""

    def __post_init__(self) -> None:
        if flaw := self._flaw():
            raise ValueError(flaw)

    @classmethod
    def from_rows(cls, always: Iterable[int], rows: Iterable[Sequence[int]]) -> Shortlist:
        """Builds a list from what is always in it and one row per source token, in any order.

        The end symbol and the unknown symbol are added; what is always in needs no place in a row.
        """
        everywhere = {EOS, UNK, *map(int, always)}
        kept = [sorted(set(map(int, row)) - everywhere) for row in rows]
        return cls(
            always_A=np.array(sorted(everywhere), dtype=np.int32),
            offset_V=np.concatenate([[0], np.cumsum([len(row) for row in kept], dtype=np.int64)]),
            token_P=np.array([token for row in kept for token in row], dtype=np.int32),
        )

    @property
    def vocab_size(self) -> int:
        """Number of token ids of the vocabulary."""
        return len(self.offset_V) - 1

    def tokens(self, sources: Sequence[Int64Array]) -> Int64Array:
        """The list of one batch.

        Args:
            sources: token ids of each sentence, each below `vocab_size`.

        Returns:
            Different token ids in ascending order. A beam may want more candidates than there are; the stepper
            then returns as many as the list has.
        """
        own = list({token for source in sources for token in source.tolist()})
        offsets, token_P = self._offsets, self.token_P
        listed_V = self._always_V.copy()
        listed_V[own] = True
        listed_V[np.concatenate([token_P[:0], *(token_P[offsets[v] : offsets[v + 1]] for v in own)])] = True
        return np.flatnonzero(listed_V)

    def to_bytes(self) -> bytes:
        """The content of a file: a line of JSON, the three arrays (little-endian), SHA-256 of all before."""
        header = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "vocab_size": self.vocab_size,
            "always": len(self.always_A),
            "tokens": len(self.token_P),
        }
        id_type = _id_type(self.vocab_size)
        body = b"".join(
            (
                json.dumps(header).encode() + b"\n",
                self.always_A.astype(id_type).tobytes(),
                self.offset_V.astype("<u4").tobytes(),
                self.token_P.astype(id_type).tobytes(),
            )
        )
        return body + hashlib.sha256(body).digest()

    @classmethod
    def from_bytes(cls, content: bytes, *, file: str | Path, vocab_size: int) -> Shortlist:
        """Reads what `to_bytes` wrote.

        Args:
            content: the content of the file.
            file: where it comes from, for errors.
            vocab_size: size of the vocabulary that it shall be for.

        Raises:
            BundleError: damaged, of something else, of a newer version, or for another vocabulary.
        """
        header, start = _read_header(content, file)
        body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            raise BundleError("the shortlist is damaged or cut off", file=file, hint=_AGAIN)
        if header["vocab_size"] != vocab_size:
            raise BundleError(
                "the shortlist is for another vocabulary",
                file=file,
                key="vocab_size",
                value=header["vocab_size"],
                allowed=str(vocab_size),
                hint="Export the bundle again",
            )
        id_type = _id_type(vocab_size)
        parts = ((id_type, header["always"]), ("<u4", vocab_size + 1), (id_type, header["tokens"]))
        arrays = []
        for dtype, count in parts:
            arrays.append(np.frombuffer(body, dtype, count, start))
            start += arrays[-1].nbytes
        always_A, offset_V, token_P = arrays
        return cls(
            always_A=always_A.astype(np.int32),
            offset_V=offset_V.astype(np.int64),
            token_P=token_P.astype(np.int32),
        )

    @cached_property
    def _always_V(self) -> npt.NDArray[np.bool_]:
        always_V = np.zeros(self.vocab_size, dtype=np.bool_)
        always_V[self.always_A] = True
        return always_V

    @cached_property
    def _offsets(self) -> list[int]:
        return self.offset_V.tolist()  # slices by Python's numbers are twice as fast as by NumPy's

    def _flaw(self) -> str | None:
        """What is wrong with the three arrays, if anything."""
        offsets = self.offset_V
        if len(offsets) == 0 or offsets[0] != 0 or (np.diff(offsets) < 0).any() or offsets[-1] != len(self.token_P):
            return "the offsets do not divide the tokens into rows"
        for ids in (self.always_A, self.token_P):
            if len(ids) and not 0 <= ids.min() <= ids.max() < self.vocab_size:
                return f"a token is not below {self.vocab_size}"
        if not np.isin([EOS, UNK], self.always_A).all():
            return "the end symbol and the unknown symbol are not always in"
        return None


def _id_type(vocab_size: int) -> str:
    return "<u2" if vocab_size <= 1 << 16 else "<u4"


def _read_header(content: bytes, file: str | Path) -> tuple[dict[str, Any], int]:
    """The first line, and where the next one begins."""
    start = content.find(b"\n") + 1
    try:
        header = json.loads(content[:start])
    except ValueError:  # invalid UTF-8 too
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise BundleError("is no shortlist, or a damaged one", file=file, hint=_AGAIN)
    version = header.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BundleError(
            "the shortlist was written by a newer AutoMoE",
            file=file,
            key="format_version",
            value=version,
            allowed=f"up to {FORMAT_VERSION}",
            hint="Install a newer AutoMoE",
        )
    return header, start
