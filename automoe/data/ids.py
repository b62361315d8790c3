"""`IdArray`: the token ids of many sentences in two flat files, read by memory map.

`NAME.npy` holds all ids one after the other, `NAME.offsets.npy` where each sentence begins and the last ends.

Shape suffixes: N sentences, L tokens of one sentence, A tokens of all sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.decoding.stepper import Int64Array
from automoe.errors import DataError

_SMALL = np.iinfo(np.uint16).max


class IdArray:
    """Sentences as token ids, each an int64 array; iterates over them in order.

    Args:
        ids_A: all ids, sentence after sentence.
        offsets: N + 1 positions in `ids_A`: sentence n is `ids_A[offsets[n]:offsets[n + 1]]`.
    """

    def __init__(self, ids_A: npt.NDArray[Any], offsets: Int64Array) -> None:
        self._ids_A = ids_A
        self._offsets = offsets

    @classmethod
    def open(cls, path: Path) -> IdArray:
        """Maps the two files that `write_ids(path, ...)` wrote; `path` has no ending.

        Raises:
            DataError: a file is missing or damaged.
        """
        ids_A, offsets = (_map(file) for file in id_files(path))
        if offsets.ndim != 1 or len(offsets) == 0 or offsets[-1] != len(ids_A):
            raise DataError("the ids and their offsets do not belong together", file=id_files(path)[1])
        return cls(ids_A, offsets)

    @property
    def lengths(self) -> Int64Array:
        """Number of tokens of each sentence, the end-of-sentence symbol included."""
        return np.diff(self._offsets)

    @property
    def flat_A(self) -> npt.NDArray[Any]:
        """All ids, sentence after sentence."""
        return self._ids_A

    @property
    def num_tokens(self) -> int:
        """Number of tokens of all sentences."""
        return len(self._ids_A)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> Int64Array:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sentence {index} of {len(self)}")
        index %= len(self)
        return np.array(self._ids_A[self._offsets[index] : self._offsets[index + 1]], dtype=np.int64)

    def __iter__(self) -> Iterator[Int64Array]:
        return (self[index] for index in range(len(self)))


def write_ids(path: Path, sentences: Iterable[Int64Array], vocab_size: int) -> None:
    """Writes sentences as two files, bit for bit the same for the same sentences.

    Args:
        path: where, without an ending.
        sentences: token ids of each.
        vocab_size: ids are below it; up to 65,536 they take two bytes each, else four.
    """
    dtype = np.uint16 if vocab_size - 1 <= _SMALL else np.int32
    sentences = [ids_L.astype(dtype) for ids_L in sentences]
    offsets = np.zeros(len(sentences) + 1, dtype=np.int64)
    np.cumsum([len(ids_L) for ids_L in sentences], out=offsets[1:])
    ids_file, offsets_file = id_files(path)
    np.save(ids_file, np.concatenate([*sentences, np.zeros(0, dtype)]), allow_pickle=False)
    np.save(offsets_file, offsets, allow_pickle=False)


def id_files(path: Path) -> tuple[Path, Path]:
    """The files of the id array at `path`: ids and offsets."""
    return path.with_name(f"{path.name}.npy"), path.with_name(f"{path.name}.offsets.npy")


def _map(file: Path) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError("there is no such id array", file=file) from error
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"is a damaged id array: {error}", file=file) from error
    return array
