"""Which architectures of a space are measured: the extremes, then an even spread over depth and size."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from automoe.space import Architecture

_DRAWS = 30
"""Architectures drawn for each one that is measured."""
_MIN_DRAWS = 300


def choose_architectures(
    space_sampler: Callable[[int, np.random.Generator], list[Architecture]],
    largest: Architecture,
    smallest: Architecture,
    count: int,
    flops: Callable[[Architecture], float],
    seed: int,
) -> list[Architecture]:
    """Chooses architectures to measure.

    The largest and the smallest come first, since a predictor must not extrapolate. Each decoder depth gets an even
    share of the others, since depth decides most of the latency; within a depth they stand at even quantiles of the
    FLOPs. They are shuffled, so that what changes while they are measured does not look like an effect of the size.

    Args:
        space_sampler: draws that many architectures, repetitions included.
        largest: the largest architecture of the space.
        smallest: its smallest.
        count: architectures to choose.
        flops: FLOPs of an architecture.
        seed: another seed chooses others.

    Returns:
        `count` different architectures, or fewer if the space has (about) fewer.
    """
    rng = np.random.default_rng([seed, zlib.crc32(b"profile"), 0])
    first = list(dict.fromkeys([largest, smallest]))[:count]
    drawn = dict.fromkeys(space_sampler(max(_DRAWS * count, _MIN_DRAWS), rng))
    by_depth: dict[int, list[Architecture]] = {}
    for arch in drawn:
        if arch not in first:
            by_depth.setdefault(len(arch.decoder.layers), []).append(arch)
    depths = sorted(by_depth)
    shares = _even_shares([len(by_depth[depth]) for depth in depths], count - len(first))
    others: list[Architecture] = []
    for depth, share in zip(depths, shares, strict=True):
        ordered = sorted(by_depth[depth], key=lambda arch: (flops(arch), arch.digest))
        others += [ordered[(2 * place + 1) * len(ordered) // (2 * share)] for place in range(share)]
    return first + [others[int(index)] for index in rng.permutation(len(others))]


def _even_shares(sizes: list[int], total: int) -> list[int]:
    """Shares of `total`, as equal as the sizes allow; what a small group cannot take goes to the others."""
    shares = [0] * len(sizes)
    while sum(shares) < min(total, sum(sizes)):
        open_groups = [group for group, size in enumerate(sizes) if shares[group] < size]
        shares[min(open_groups, key=lambda group: shares[group])] += 1
    return shares
