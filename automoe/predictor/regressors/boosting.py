"""`Boosting`: gradient boosting of small trees (Friedman 2001), for devices whose cost jumps.

Shape suffixes: N architectures, F features, B bins of a feature, T trees, S splits and L leaves of a tree, K nodes of
a level.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from automoe.predictor.features import BASE, SUMS, Features
from automoe.predictor.predictor import FloatArray
from automoe.predictor.regressors.linear_function import CEILING, FLOOR

_TREES, _DEPTH, _RATE = 150, 3, 0.1
_LEAST_LEAF = 3
"""Rows of a leaf: of one, a wrong row would get a leaf of its own."""
_SHARE = 0.5
"""Of the rows that each tree is grown from (Friedman 2002)."""
_LEAST_ROWS, _MOST_ROWS = 20, 500
"""Trees are grown from all of fewer rows, and from no more of a long table."""
_BEYOND = 0.9
"""Errors above this quantile count linearly (Huber's loss)."""
_EDGES = 63
"""Values at which a feature may be split."""
_EVERYTHING = float(np.finfo(np.float64).max)
"""A threshold above everything that JSON can hold."""
_TABLES = ("feature_TS", "threshold_TS", "leaf_TL")

Table = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Boosting:
    """A sum of regression trees that predicts the logarithm of the value.

    Trees are complete: split s has the splits 2 s + 1 and 2 s + 2 below it, the last S splits the leaves. A branch
    that ended early goes left everywhere. Trees do not extrapolate: beyond what was measured all values are alike.
    """

    groups: ClassVar[tuple[str, ...]] = (BASE, SUMS)
    names: tuple[str, ...]
    """Of the features."""
    start: float
    """Logarithm of the value before any tree."""
    feature_TS: tuple[tuple[int, ...], ...]
    """Index of the feature of each split."""
    threshold_TS: Table
    """What is at most as much goes left."""
    leaf_TL: Table
    """What each leaf adds."""
    floor: float
    """The least prediction, as that of other regressors."""
    ceiling: float

    @classmethod
    def fit(cls, features: Features, values_N: FloatArray) -> Boosting:
        """Learns the trees, each from what those before it leave over on half of the rows."""
        log_N = np.log(values_N)
        start = float(np.median(log_N))
        edges = [_edges(x_N) for x_N in features.x_NF.T]
        bin_NF = np.array([np.searchsorted(edge, x_N) for edge, x_N in zip(edges, features.x_NF.T, strict=True)]).T
        trees: list[_Tree] = []
        if any(len(edge) for edge in edges) and np.ptp(log_N) > 0:
            rng = np.random.default_rng([zlib.crc32(b"boosting"), len(log_N)])
            few = len(log_N) < _LEAST_ROWS
            drawn = len(log_N) if few else min(round(_SHARE * len(log_N)), _MOST_ROWS)
            left_over_N = log_N - start
            for _ in range(_TREES):
                bound = np.quantile(np.abs(left_over_N), _BEYOND)
                rows = np.arange(len(log_N)) if few else rng.choice(len(log_N), drawn, replace=False)
                tree = _grow(bin_NF[rows], np.clip(left_over_N[rows], -bound, bound), bins=1 + max(map(len, edges)))
                right_SN = [bin_NF[:, f] > b for f, b in zip(tree.feature_S, tree.bin_S, strict=True)]
                left_over_N -= np.array(tree.leaf_L)[_leaf(right_SN)]
                trees.append(tree)
        return cls(
            names=features.names,
            start=start,
            feature_TS=tuple(tree.feature_S for tree in trees),
            threshold_TS=tuple(tree.thresholds_S(edges) for tree in trees),
            leaf_TL=tuple(tree.leaf_L for tree in trees),
            floor=FLOOR * float(values_N.min()),
            ceiling=CEILING * float(values_N.max()),
        )

    def predict(self, features: Features) -> FloatArray:
        """The exponential of the sum of the leaves that each architecture falls into."""
        # Ranks among a feature's thresholds are small integers, which compare several times faster.
        x_NF = features.columns(self.names)
        log_N = np.full(len(features), self.start)
        feature_TS, threshold_TS = np.array(self.feature_TS, dtype=np.int64), np.array(self.threshold_TS)
        rank_TS = np.zeros(feature_TS.shape, dtype=np.uint16)
        rank_FN = []
        for index in range(len(self.names)):
            known = np.unique(threshold_TS[feature_TS == index])
            rank_FN.append(np.searchsorted(known, x_NF[:, index], side="left").astype(np.uint16))
            rank_TS[feature_TS == index] = np.searchsorted(known, threshold_TS[feature_TS == index])
        for feature_S, rank_S, leaf_L in zip(feature_TS, rank_TS, self.leaf_TL, strict=True):
            right_SN = [rank_FN[feature] > rank for feature, rank in zip(feature_S, rank_S, strict=True)]
            log_N += np.take(np.array(leaf_L), _leaf(right_SN))
        return np.clip(np.exp(log_N), self.floor, self.ceiling)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        tables = {name: [list(row) for row in getattr(self, name)] for name in _TABLES}
        return {
            "names": list(self.names),
            "start": self.start,
            "floor": self.floor,
            "ceiling": self.ceiling,
            **tables,
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Boosting:
        """Reads the JSON form of `to_dict`."""
        tables: dict[str, Any] = {name: tuple(map(tuple, form[name])) for name in _TABLES}
        return cls(**{**form, **tables, "names": tuple(form["names"])})


@dataclass(frozen=True)
class _Tree:
    """A tree of bins."""

    feature_S: tuple[int, ...]
    bin_S: tuple[int, ...]
    """The last bin that goes left; of a branch that ended, the last of all."""
    leaf_L: tuple[float, ...]

    def thresholds_S(self, edges: list[FloatArray]) -> tuple[float, ...]:
        """What is at most as much goes left."""
        return tuple(
            float(edges[feature][last]) if last < len(edges[feature]) else _EVERYTHING
            for feature, last in zip(self.feature_S, self.bin_S, strict=True)
        )


def _edges(x_N: FloatArray) -> FloatArray:
    """Values between which a feature may be split, at most `_EDGES`; a bin holds what is at most as much as one."""
    known = np.unique(x_N)
    between: FloatArray = (known[1:] + known[:-1]) / 2
    if len(between) > _EDGES:
        between = np.unique(np.quantile(x_N, np.arange(1, _EDGES + 1) / (_EDGES + 1)))
    return between


def _grow(bin_NF: npt.NDArray[np.int64], slope_N: FloatArray, bins: int) -> _Tree:
    """A tree that predicts slopes, level by level; every split takes the most squared error away."""
    rows, features = bin_NF.shape
    place_NF = bin_NF + bins * np.arange(features)
    slope_NF = np.repeat(slope_N, features)
    node_N = np.zeros(rows, dtype=np.int64)
    feature_S: list[int] = []
    bin_S: list[int] = []
    for level in range(_DEPTH):
        shape = (2**level, features, bins)
        place = (place_NF + node_N[:, None] * (features * bins)).ravel()
        size = int(np.prod(shape))
        count_KFB = np.bincount(place, minlength=size).reshape(shape).cumsum(axis=2)
        left_KFB = np.bincount(place, weights=slope_NF, minlength=size).reshape(shape).cumsum(axis=2)
        others_KFB, right_KFB = count_KFB[:, :, -1:] - count_KFB, left_KFB[:, :, -1:] - left_KFB
        gain_KFB = left_KFB**2 / np.maximum(count_KFB, 1) + right_KFB**2 / np.maximum(others_KFB, 1)
        gain_KFB[(count_KFB < _LEAST_LEAF) | (others_KFB < _LEAST_LEAF)] = -1.0
        best_K = gain_KFB.reshape(len(gain_KFB), -1).argmax(axis=1)
        feature_K, bin_K = best_K // bins, best_K % bins
        worth_K = gain_KFB[np.arange(len(best_K)), feature_K, bin_K] > 0
        feature_K, bin_K = np.where(worth_K, feature_K, 0), np.where(worth_K, bin_K, bins - 1)
        feature_S += feature_K.tolist()
        bin_S += bin_K.tolist()
        node_N = 2 * node_N + (bin_NF[np.arange(rows), feature_K[node_N]] > bin_K[node_N])
    count_L = np.bincount(node_N, minlength=2**_DEPTH)
    leaf_L = _RATE * np.bincount(node_N, weights=slope_N, minlength=2**_DEPTH) / np.maximum(count_L, 1)
    return _Tree(tuple(feature_S), tuple(bin_S), tuple(leaf_L.tolist()))


def _leaf(right_SN: list[npt.NDArray[np.bool_]]) -> npt.NDArray[np.uint8]:
    """Index of the leaf that each architecture falls into, from the last splits up."""
    leaf_SN = [right_N.view(np.uint8) for right_N in right_SN]
    for split in reversed(range(len(right_SN) // 2)):
        leaves = np.uint8(2 ** (_DEPTH - (split + 1).bit_length()))  # on either side of the split
        leaf_SN[split] = np.where(right_SN[split], leaf_SN[2 * split + 2] + leaves, leaf_SN[2 * split + 1])
    return leaf_SN[0]
