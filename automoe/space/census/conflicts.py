"""`conflicts_of`: which constraints leave a space without any architecture."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np

from automoe.space.census.cells import cells_of
from automoe.space.constraints import Constraint
from automoe.space.genome.codec import GenomeCodec
from automoe.space.search_space import SearchSpace

_DRAWS = 1024


def is_empty(space: SearchSpace) -> bool:
    """Whether no architecture meets the constraints; found without counting them, most often by a few draws.

    Raises:
        SpaceError: no draw meets them, and one of them is too intricate to say more.
    """
    if not space.constraints:
        return False
    codec = GenomeCodec(space)
    if codec.feasible(codec.draw(_DRAWS, np.random.default_rng(0))).any():
        return False
    return next(chain(cells_of(space, ordered=False), (None,))) is None


def conflicts_of(space: SearchSpace) -> tuple[tuple[Constraint, ...], ...]:
    """Constraints to blame for an empty space, in the order in which the space has them.

    Returns:
        each that no architecture meets even alone, by itself; where there is none, one tuple of constraints that
        contradict each other, and of which no fewer do; nothing if the space is not empty.

    Raises:
        SpaceError: as `is_empty`.
    """
    if not is_empty(space):
        return ()
    alone = [constraint for constraint in space.constraints if _contradict(space, (constraint,))]
    if alone:
        return tuple((constraint,) for constraint in alone)
    needed = space.constraints
    for constraint in space.constraints:
        fewer = tuple(other for other in needed if other != constraint)
        needed = fewer if _contradict(space, fewer) else needed
    return (needed,)


def _contradict(space: SearchSpace, constraints: tuple[Constraint, ...]) -> bool:
    return is_empty(replace(space, constraints=constraints))
