"""Hypervolume (Zitzler and Thiele 1999): how much of the space below a reference point a set of points dominates.

It is exact for any number of objectives: a sweep over two of them, and slices for each further one, as in the
WFG algorithm (While, Bradstreet and Barone 2012).

Shape suffixes: N points, M objectives; lower is better in every one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from automoe.search.evaluator import Floats


def hypervolume(point_NM: npt.ArrayLike, reference_M: npt.ArrayLike) -> float:
    """The volume of what the points dominate below the reference point.

    Args:
        point_NM: the points, in any order; those that are not below the reference in every objective do not count.
        reference_M: the corner that the volume reaches up to.

    Raises:
        ValueError: the shapes do not agree, or something is not a number.
    """
    points, reference = _checked(point_NM, reference_M)
    return _volume(_front(points[(points < reference).all(axis=1)]), reference)


def hypervolume_over_time(point_NM: npt.ArrayLike, reference_M: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The hypervolume after each point.

    Args:
        point_NM: the points in the order in which they were found.
        reference_M: as in `hypervolume`.

    Returns:
        float64 of shape (N,), which never falls.

    Raises:
        ValueError: as in `hypervolume`.
    """
    points, reference = _checked(point_NM, reference_M)
    volume_N = np.zeros(len(points))
    front, volume = points[:0], 0.0
    for place, point_M in enumerate(points):
        if (point_M < reference).all() and not (front <= point_M).all(axis=1).any():
            gain = np.prod(reference - point_M) - _volume(_front(np.maximum(front, point_M)), reference)
            volume += max(float(gain), 0.0)
            front = np.concatenate([front[~(point_M <= front).all(axis=1)], point_M[None]])
        volume_N[place] = volume
    return volume_N


def _checked(point_NM: npt.ArrayLike, reference_M: npt.ArrayLike) -> tuple[Floats, Floats]:
    points = np.asarray(point_NM, dtype=np.float64)
    reference = np.asarray(reference_M, dtype=np.float64)
    if reference.ndim != 1 or not len(reference) or points.ndim != 2 or points.shape[1] != len(reference):
        raise ValueError(f"points of shape {points.shape} and a reference of shape {reference.shape} do not agree")
    if np.isnan(points).any() or not np.isfinite(reference).all():
        raise ValueError("a point or the reference is not a number")
    return points, reference


def _volume(point_NM: Floats, reference_M: Floats) -> float:
    """The hypervolume of points that are all below the reference."""
    if not len(point_NM):
        return 0.0
    if len(reference_M) == 1:
        return float(reference_M[0] - point_NM.min())
    if len(reference_M) == 2:
        return _area(point_NM, reference_M)
    # The worst in the last objective first: what no later point dominates is as high as it is below the reference.
    point_NM = point_NM[np.lexsort(point_NM.T)[::-1]]
    height_N = reference_M[-1] - point_NM[:, -1]
    rest_NM, rest_M = point_NM[:, :-1], reference_M[:-1]
    total = 0.0
    for place, point_M in enumerate(rest_NM):
        later = np.maximum(rest_NM[place + 1 :], point_M)
        own = np.prod(rest_M - point_M) - _volume(later if len(rest_M) <= 2 else _front(later), rest_M)
        total += float(height_N[place] * own)
    return total


def _area(point_NM: Floats, reference_M: Floats) -> float:
    """The hypervolume of two objectives: steps of falling height from left to right."""
    first_N, second_N = point_NM[np.lexsort((point_NM[:, 1], point_NM[:, 0]))].T
    lowest_N = np.minimum.accumulate(np.concatenate([reference_M[1:], second_N]))
    return float(((reference_M[0] - first_N) * -np.diff(lowest_N)).sum())


def _front(point_NM: Floats) -> Floats:
    """The points that no other one dominates, each once."""
    point_NM = np.unique(point_NM, axis=0)  # ascending: nothing is dominated by a later one
    kept = np.ones(len(point_NM), dtype=np.bool_)
    for place, point_M in enumerate(point_NM):
        if kept[place]:
            kept[place + 1 :] &= ~(point_M <= point_NM[place + 1 :]).all(axis=1)
    return point_NM[kept]
