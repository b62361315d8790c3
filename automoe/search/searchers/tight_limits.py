"""What keeps limits that nearly nothing keeps: it is found from what is known to keep them, not by drawing.

Shape suffixes: N genomes, G genes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from automoe.search.budget import used_share
from automoe.search.problem import Problem

Ints = NDArray[np.int64]
_STARTS = 64
"""Known genomes that are begun from, beside the smallest architecture."""
_AT_ONCE = 8
"""Genomes whose neighbours are looked at together."""
_NEIGHBOURS = 4096
"""Neighbours that are looked at in all."""
_WALKS, _VAIN_WALKS = 16, 4
"""Steps of all walks, and how many of them in a row may find nothing."""
_WALKERS = 256
_STEPS = 32


def near_within(problem: Problem, known: Sequence[Ints], rng: np.random.Generator) -> Iterator[tuple[Ints, str]]:
    """Genomes that keep the limits, seen or not, in batches: the nearest to those that are known first.

    First come the neighbours of what is known to keep the limits and of the smallest architecture, and the neighbours
    of those in turn, breadth first; then what random walks find that change a few genes at once. If nothing is known
    to keep the limits, it goes downhill from the smallest architecture until something does.

    Args:
        problem: its limits are meant.
        known: canonical genomes, each of shape (G,), whether they keep the limits or not.
        rng: draws.

    Yields:
        Canonical genomes of shape (N, G), none of them twice, and how they came to be.
    """
    tight = _TightLimits(problem)
    places = np.sort(rng.permutation(len(known))[:_STARTS])
    smallest_G = problem.codec.encode(problem.codec.space.smallest())
    within_NG = tight.new_within(np.stack([smallest_G, *(known[place] for place in places)]))
    if not len(within_NG):
        nearest_G, use = nearest_to_limits(problem)
        if use > 1:
            return
        within_NG = tight.new_within(nearest_G[None])
    yield within_NG, "neighbour"
    members = [*within_NG]
    waiting = deque(members)
    while waiting and tight.num_looked < _NEIGHBOURS:
        some = [waiting.popleft() for _ in range(min(_AT_ONCE, len(waiting)))]
        around_NG = np.concatenate([problem.codec.neighbours(genome_G) for genome_G in some])
        within_NG = tight.new_within(rng.permutation(around_NG))
        yield within_NG, "neighbour"
        members += [*within_NG]
        waiting += [*within_NG]
    num_free = max(len(problem.codec.free), 1)
    vain = 0
    for step in range(_WALKS):
        if vain == _VAIN_WALKS:
            break
        parents = [members[place] for place in rng.integers(len(members), size=_WALKERS)]
        changed = min((2 + step % 3) / num_free, 1.0)
        within_NG = tight.new_within(problem.codec.mutate(np.stack(parents), rng, changed))
        yield within_NG, "mutation"
        members += [*within_NG]
        vain = 0 if len(within_NG) else vain + 1


def nearest_to_limits(problem: Problem) -> tuple[Ints, float]:
    """Goes from the smallest architecture to the neighbour that uses least of the limits, as long as there is one.

    Returns:
        Its canonical genome of shape (G,), and the share of the limit that binds most: at most 1 if it keeps all.
    """
    codec = problem.codec
    here_G = codec.encode(codec.space.smallest())
    (use,) = _uses(problem, here_G[None])
    for _ in range(_STEPS):
        if use <= 1:
            break
        around_NG = codec.neighbours(here_G)
        if not len(around_NG):
            break
        uses = _uses(problem, around_NG)
        best = int(np.argmin(uses))
        if uses[best] >= use:
            break
        here_G, use = around_NG[best], uses[best]
    return here_G, use


class _TightLimits:
    """Says of genomes that it was not asked about before which keep the limits."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._looked: set[bytes] = set()

    @property
    def num_looked(self) -> int:
        """Different genomes that it was asked about."""
        return len(self._looked)

    def new_within(self, genome_NG: Ints) -> Ints:
        """Those that are asked about for the first time and keep the limits, in their order; shape (N, G)."""
        new = {genome_G.tobytes(): place for place, genome_G in reversed([*enumerate(genome_NG)])}
        places = sorted(place for genome, place in new.items() if genome not in self._looked)
        self._looked |= new.keys()
        if not places:
            return genome_NG[:0]
        new_NG = genome_NG[places]
        return new_NG[[use <= 1 for use in _uses(self._problem, new_NG)]]


def _uses(problem: Problem, genome_NG: Ints) -> list[float]:
    """The share of the limit that binds most, of each genome."""
    archs = problem.codec.decode_all(genome_NG)
    return [used_share(costs, problem.limits) for costs in problem.estimates(archs)]
