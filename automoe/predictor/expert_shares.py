"""`ExpertShares`: the share of a layer's tokens that each expert gets, learnt from the loads of a few architectures.

The experts of a sub-transformer are the first ones of the supernet, so the number of experts says which they are and
between which a token chooses; and a smaller dimension cuts the router's weights, which makes another router of it.
So layers of one place, number of experts and dimension route (about) alike, whatever the rest of the architecture is,
and the share that a slot gets is the mean over those that were seen. Widths need no look: the router reads what comes
before the experts. On the supernets of the quickstart and of Multi30k, means that
disregard the dimension err more than twice as much.

Shape suffixes: E experts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from automoe.cost.executed import ExpertLoads, dim_of
from automoe.predictor.predictor import FloatArray
from automoe.space import Architecture, EncoderLayerArch

_KIND_PRIOR = 0.1
"""Layers that the mean over all dimensions counts for in the mean of one dimension: few, since it is another
router."""
_ANY_DIM_PRIOR = 1.0
"""Layers that the uniform load counts for in the mean over all dimensions."""
_ANY_DIM = 0


class LayerKind(NamedTuple):
    """What layers have in common that route alike."""

    side: str
    layer: int
    num_experts: int
    top_k: int
    dim: int
    """Model dimension of the side; 0 in what was learnt from all dimensions."""

    @classmethod
    def of(cls, arch: Architecture, side: str, index: int, layer: EncoderLayerArch) -> LayerKind:
        """The kind of a layer of an architecture, as `Architecture.layers` yields it."""
        return cls(side, index, layer.num_experts, layer.top_k, dim_of(arch, side))

    @property
    def of_any_dim(self) -> LayerKind:
        """The same, whatever the dimension."""
        return self._replace(dim=_ANY_DIM)


@dataclass(frozen=True, kw_only=True)
class ExpertShares:
    """Shares of the tokens that the experts of a layer get, widest first; a value."""

    of_kind: Mapping[LayerKind, tuple[float, ...]]
    """For each kind that was seen, and for those of any dimension: shares, which add up to 1."""

    @classmethod
    def uniform(cls) -> ExpertShares:
        """Of nothing seen: all experts of a layer get as many tokens."""
        return cls(of_kind={})

    @classmethod
    def fit(cls, archs: Sequence[Architecture], loads: Sequence[ExpertLoads]) -> ExpertShares:
        """Averages the shares of the layers of each kind.

        Args:
            archs: architectures.
            loads: of each, for every expert layer what its experts got of the tokens.
        """
        seen: dict[LayerKind, list[FloatArray]] = {}
        for arch, load in zip(archs, loads, strict=True):
            for kind in kinds_of(arch):
                load_E = np.asarray(load[kind.side, kind.layer], dtype=np.float64)
                share_E = load_E / load_E.sum()
                seen.setdefault(kind, []).append(share_E)
                seen.setdefault(kind.of_any_dim, []).append(share_E)
        of_any_dim = {
            kind: _mean(shares, np.full(kind.num_experts, 1 / kind.num_experts), _ANY_DIM_PRIOR)
            for kind, shares in seen.items()
            if kind.dim == _ANY_DIM
        }
        of_kind = {
            kind: _mean(shares, of_any_dim[kind.of_any_dim], _KIND_PRIOR)
            for kind, shares in seen.items()
            if kind.dim != _ANY_DIM
        }
        return cls(of_kind={kind: tuple(share_E.tolist()) for kind, share_E in (of_any_dim | of_kind).items()})

    def __getitem__(self, kind: LayerKind) -> tuple[float, ...]:
        """The shares of a layer: its kind's, or those of any dimension, or the uniform ones where none were seen."""
        found = self.of_kind.get(kind) or self.of_kind.get(kind.of_any_dim)
        return found or (1 / kind.num_experts,) * kind.num_experts

    def loads(self, arch: Architecture) -> ExpertLoads:
        """The expected loads of an architecture, as shares."""
        return {(kind.side, kind.layer): self[kind] for kind in kinds_of(arch)}

    def unseen(self, arch: Architecture) -> tuple[str, ...]:
        """The expert layers of an architecture whose number of experts, or whose dimension, was never seen there."""
        dims = {(kind.side, kind.dim) for kind in self.of_kind}
        return tuple(
            f"{kind.side} {kind.layer}: {kind.num_experts} experts of dimension {kind.dim}"
            for kind in kinds_of(arch)
            if kind.of_any_dim not in self.of_kind or (kind.side, kind.dim) not in dims
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return {"of_kind": [kind._asdict() | {"shares": list(shares)} for kind, shares in self.of_kind.items()]}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> ExpertShares:
        """Reads the JSON form of `to_dict`."""
        return cls(
            of_kind={
                LayerKind(**{name: row[name] for name in LayerKind._fields}): tuple(row["shares"])
                for row in form["of_kind"]
            }
        )


def kinds_of(arch: Architecture) -> Iterable[LayerKind]:
    """The kinds of the expert layers of an architecture, in the order of its layers."""
    return (LayerKind.of(arch, side, index, layer) for side, index, layer in arch.layers() if layer.num_experts > 1)


def _mean(shares: Sequence[FloatArray], prior_E: FloatArray, prior_count: float) -> FloatArray:
    mean_E: FloatArray = (np.sum(shares, axis=0) + prior_count * prior_E) / (len(shares) + prior_count)
    return mean_E
