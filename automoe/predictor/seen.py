"""`Seen`: the range of each feature among the architectures that a predictor learnt from.

Shape suffixes: N architectures, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from automoe.predictor.features import Features

_ROOM = 0.1
"""Share of its range by which a feature may be outside: a sample never holds the very ends of a space."""
_DEPTH = "decoder depth"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Least and greatest of every feature, and of the decoder depth."""

    least: Mapping[str, float]
    greatest: Mapping[str, float]

    @classmethod
    def of(cls, features: Features) -> Seen:
        """The ranges of what is learnt from."""
        columns = dict(zip(features.names, features.x_NF.T, strict=True)) | {_DEPTH: features.depth_N}
        return cls(
            least={name: float(x_N.min()) for name, x_N in columns.items()},
            greatest={name: float(x_N.max()) for name, x_N in columns.items()},
        )

    def outside(self, features: Features) -> list[tuple[str, ...]]:
        """For each architecture the names of the features that are out of their range by more than a tenth of it."""
        names = [name for name in self.least if name != _DEPTH]
        x_NF = np.column_stack([features.columns(names), features.depth_N])
        names.append(_DEPTH)
        least_F = np.array([self.least[name] for name in names])
        greatest_F = np.array([self.greatest[name] for name in names])
        room_F = _ROOM * (greatest_F - least_F) + 1e-9 * np.abs(greatest_F)
        is_outside_NF = (x_NF < least_F - room_F) | (x_NF > greatest_F + room_F)
        return [tuple(name for name, out in zip(names, row_F, strict=True) if out) for row_F in is_outside_NF]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return {"least": dict(self.least), "greatest": dict(self.greatest)}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Seen:
        """Reads the JSON form of `to_dict`."""
        return cls(least=form["least"], greatest=form["greatest"])
