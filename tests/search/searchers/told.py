"""Records that a searcher may be told, with losses of a test's own choice."""

from collections.abc import Callable, Sequence

import numpy as np

from automoe.search import Problem, Record
from automoe.space import Architecture
from automoe.testing import record_of


def sampled(problem: Problem, num: int, seed: int = 0) -> list[Architecture]:
    """Different architectures of the space."""
    codec, rng = problem.codec, np.random.default_rng(seed)
    found: dict[Architecture, None] = {}
    while len(found) < num:
        found |= dict.fromkeys(codec.decode_all(codec.sample(num, rng)))
    return list(found)[:num]


def records(
    problem: Problem, archs: Sequence[Architecture], loss: Callable[[int], float] | None = None
) -> list[Record]:
    """Records of architectures; `loss` gives that of each place."""
    found = [record_of(problem, arch, index=index, generation=0, how="sample") for index, arch in enumerate(archs)]
    if loss is None:
        return found
    return [Record(**{**vars(record), "loss": loss(index)}) for index, record in enumerate(found)]
