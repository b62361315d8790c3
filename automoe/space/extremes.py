"""The largest and the smallest architecture of a space whose conditions exclude the obvious ones.

Shape suffixes: N genomes, G genes of a genome.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from automoe.space.genome.codec import GenomeCodec
from automoe.space.layer_sizes import Ints

_DRAWS, _SEED = 4096, 0


def extreme_genome(codec: GenomeCodec, *, largest: bool) -> Ints:
    """A genome of the space that no larger (smaller) value of one gene would make larger (smaller) within the space.

    Size is the sum of the logarithms of all genes. The climb begins at the largest of the combinations that take the
    largest choice of every gene, one for each pattern of expert layers, and of some draws; it is the same each time.
    The largest and the smallest are one only where the space has a single architecture: both begin from the same
    draws, two different ones at least where there are two.

    Args:
        codec: of the space.
        largest: whether the largest is wanted, or the smallest.

    Returns:
        int64 of shape (G,).

    Raises:
        SpaceError: no architecture meets the constraints.
    """
    sign = 1 if largest else -1
    begin_NG = _beginnings(codec, largest)
    size_N = sign * _sizes(codec, begin_NG)
    # Of equally large ones the last in their order, of equally small ones the first: not the same for both, if there
    # are two to begin with.
    order_N = np.lexsort((*(sign * begin_NG).T[::-1], size_N))
    genome_G, size = begin_NG[order_N[-1]], size_N[order_N[-1]]
    grows = True
    while grows:
        grows = False
        for place in codec.free:
            other_NG = codec.neighbours(genome_G, places=(place,))
            if not len(other_NG):
                continue
            other_N = sign * _sizes(codec, other_NG)
            best = int(other_N.argmax())
            if other_N[best] > size + 1e-9:  # the sum of logarithms is rounded
                genome_G, size, grows = other_NG[best], other_N[best], True
    return genome_G


def _beginnings(codec: GenomeCodec, largest: bool) -> Ints:
    """Feasible genomes to begin with, one at least."""
    obvious_G = np.array([choices[-1 if largest else 0] for choices in codec.choices], dtype=np.int64)
    obvious_NG = np.repeat(obvious_G[None], max(len(codec.space.patterns), 1), axis=0)
    if codec.space.patterns:
        obvious_NG[:, codec.pattern_place] = np.arange(1, len(obvious_NG) + 1)
    obvious_NG = codec.canonical(obvious_NG)
    if not codec.space.constraints:
        return obvious_NG
    begin_NG = np.concatenate([obvious_NG, _members(codec)])
    return begin_NG[codec.feasible(begin_NG)]


def _members(codec: GenomeCodec) -> Ints:
    """Genomes of the space, two different ones at least where there are two."""
    drawn_NG = codec.draw(_DRAWS, np.random.default_rng(_SEED))
    drawn_NG = drawn_NG[codec.feasible(drawn_NG)]
    if len(drawn_NG) and (drawn_NG != drawn_NG[0]).any():
        return drawn_NG
    census = codec.space.census
    if census.num_architectures > _DRAWS:
        return census.sample(_DRAWS, np.random.default_rng(_SEED))
    census.refuse_empty()
    return census.enumerate()


def _sizes(codec: GenomeCodec, genome_NG: Ints) -> npt.NDArray[np.float64]:
    """The sums of the logarithms of the genes; the pattern of expert layers is no size."""
    logs_NG = np.log(np.maximum(genome_NG, 1))
    if codec.space.patterns:
        logs_NG[:, codec.pattern_place] = 0.0
    return np.asarray(logs_NG.sum(axis=1))
