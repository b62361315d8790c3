"""`Features`: what a regressor sees of architectures, as named columns in groups; and the `Encoder` that makes them.

A group is a way to look at an architecture: `sums` over its layers, `sizes` of every layer, `averages` as published
tables hold them, `base` the prediction for another device. A column is called GROUP.NAME, as "sums.decoder.layers".

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.errors import AutoMoEError
from automoe.predictor.layer_averages import layer_averages
from automoe.predictor.layer_sizes import layer_sizes
from automoe.predictor.layer_sums import layer_sums
from automoe.predictor.predictor import FloatArray
from automoe.space import Architecture

SUMS, SIZES, AVERAGES, BASE = "sums", "sizes", "averages", "base"
BASE_COLUMN = f"{BASE}.log_value"
"""The one column of `base`: the logarithm of what is predicted for the other device."""


@dataclass(frozen=True, eq=False)
class Features:
    """N architectures as rows of numbers."""

    x_NF: FloatArray
    names: tuple[str, ...]
    """GROUP.NAME of each column."""
    depth_N: npt.NDArray[np.int64]
    """Decoder layers of each."""

    def __len__(self) -> int:
        return len(self.x_NF)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups of the columns, in their order."""
        return tuple(dict.fromkeys(name.partition(".")[0] for name in self.names))

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> Features:
        """Some of the rows."""
        return Features(self.x_NF[rows], self.names, self.depth_N[rows])

    def only(self, groups: Sequence[str]) -> Features:
        """The columns of those of the groups that there are; where there is none of them, all columns.

        What another device takes (`base`) is an addition: it is there for those who want it, beside all that a table
        has if need be.
        """
        group_of = {name: name.partition(".")[0] for name in self.names}
        own = set(groups) - {BASE}
        if own and not own & set(self.groups):
            own = set(self.groups) - {BASE}
        wanted = tuple(name for name, group in group_of.items() if group in own | (set(groups) & {BASE}))
        return Features(self.columns(wanted), wanted, self.depth_N)

    def columns(self, names: Sequence[str]) -> FloatArray:
        """The columns of these names, in this order.

        Raises:
            AutoMoEError: one is not there.
        """
        if tuple(names) == self.names:
            return self.x_NF
        place = {name: column for column, name in enumerate(self.names)}
        if missing := [name for name in names if name not in place]:
            raise AutoMoEError(
                f"the predictor learnt from {missing[0]}, which this table does not tell",
                allowed=", ".join(self.groups),
                hint="Predict architectures, or rows of a table with the columns of the one that it learnt from",
            )
        return self.x_NF[:, [place[name] for name in names]]

    def with_column(self, name: str, value_N: FloatArray) -> Features:
        """The same with one more column, which comes first."""
        return Features(np.column_stack([value_N, self.x_NF]), (name, *self.names), self.depth_N)


Described = Sequence[Architecture] | Features
"""Architectures, or what a table without architectures tells of them."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Makes features of architectures."""

    groups: tuple[str, ...]
    """`sums`, `sizes`, `averages`."""
    encoder_layers: int
    """Layers that `sizes` has room for; a deeper architecture shows its first layers."""
    decoder_layers: int

    @classmethod
    def for_architectures(cls, archs: Sequence[Architecture], groups: Sequence[str]) -> Encoder:
        """An encoder with room for the deepest of `archs`."""
        return cls(
            groups=tuple(group for group in groups if group != BASE),
            encoder_layers=max((len(arch.encoder.layers) for arch in archs), default=0),
            decoder_layers=max((len(arch.decoder.layers) for arch in archs), default=0),
        )

    def encode(self, archs: Sequence[Architecture]) -> Features:
        """The features of architectures; those of one do not depend on the others."""
        parts = [np.empty((len(archs), 0))]
        names: list[str] = []
        for group in self.groups:
            x_NF, names_of_group = self._group(group, archs)
            parts.append(x_NF)
            names += [f"{group}.{name}" for name in names_of_group]
        depth_N = np.array([len(arch.decoder.layers) for arch in archs], dtype=np.int64)
        return Features(np.concatenate(parts, axis=1), tuple(names), depth_N)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return asdict(self) | {"groups": list(self.groups)}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Encoder:
        """Reads the JSON form of `to_dict`."""
        return cls(**{**form, "groups": tuple(form["groups"])})

    def _group(self, group: str, archs: Sequence[Architecture]) -> tuple[FloatArray, tuple[str, ...]]:
        if group == SUMS:
            return layer_sums(archs)
        if group == SIZES:
            return layer_sizes(archs, self.encoder_layers, self.decoder_layers)
        if group == AVERAGES:
            return layer_averages(archs)
        raise ValueError(f"there is no group of features {group!r}")


def rows_of(described: Described, rows: npt.NDArray[np.integer[Any]]) -> Described:
    """Some of the architectures."""
    return described.take(rows) if isinstance(described, Features) else [described[int(row)] for row in rows]


def depths_of(described: Described) -> npt.NDArray[np.int64]:
    """Decoder layers of each architecture."""
    if isinstance(described, Features):
        return described.depth_N
    return np.array([len(arch.decoder.layers) for arch in described], dtype=np.int64)
