"""`WeightFile`: tensors in one safetensors file, in the order in which they are given.

The format (github.com/huggingface/safetensors) is a length, a JSON header and the tensors, one after the other.
Here the order is ours: tensors that one matrix product uses together lie side by side, so that an ONNX graph can
refer to them as one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from automoe.bundle import JOINT, tensor_layout

Array = npt.NDArray[np.generic]
_DTYPES = {"float32": "F32", "int8": "I8"}
_ALIGNMENT = 64


@dataclass(frozen=True)
class Place:
    """Where a tensor lies in its file."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    offset: int
    """Bytes from the beginning of the file."""

    @property
    def nbytes(self) -> int:
        """Length in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class WeightFile:
    """Tensors and where each will lie.

    Args:
        name: name of the file in the bundle.
        tensors: float32 or int8 arrays, in the order in which they shall lie.
    """

    def __init__(self, name: str, tensors: Mapping[str, Array]) -> None:
        self.name = name
        self._tensors = {key: np.ascontiguousarray(array) for key, array in tensors.items()}
        header: dict[str, object] = {}
        position = 0
        for key, array in self._tensors.items():
            end = position + array.nbytes
            header[key] = {
                "dtype": _DTYPES[array.dtype.name],
                "shape": list(array.shape),
                "data_offsets": [position, end],
            }
            position = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-(len(text) + 8) % _ALIGNMENT)
        self._header = len(text).to_bytes(8, "little") + text
        self._places: dict[str, Place] = {}
        position = len(self._header)
        for key, array in self._tensors.items():
            self._places[key] = Place(array.dtype, array.shape, position)
            position += array.nbytes

    def place(self, name: str) -> Place:
        """Where a tensor lies; for `a+b` where these neighbours lie as one, `b` below `a`.

        Raises:
            ValueError: they are no neighbours, or of different rows.
        """
        if name in self._places:
            return self._places[name]
        first, *others = [self._places[part] for part in name.split(JOINT)]
        rows, end = first.shape[0], first.offset + first.nbytes
        for place in others:
            if place.offset != end or place.shape[1:] != first.shape[1:] or place.dtype != first.dtype:
                raise ValueError(f"{name} do not lie side by side")
            rows, end = rows + place.shape[0], end + place.nbytes
        return Place(first.dtype, (rows, *first.shape[1:]), first.offset)

    @property
    def layout(self) -> str:
        """Digest of names, types, shapes and places: graphs that refer to places hold for this layout alone."""
        return tensor_layout(self._header)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def to_bytes(self) -> bytes:
        """The content of the file."""
        return b"".join([self._header, *(array.tobytes() for array in self._tensors.values())])
