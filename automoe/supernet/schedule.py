"""Which sub-transformers are trained at an update, and which are validated: pure functions of the seed.

The sandwich rule (Yu & Huang 2019, section 3.1; BigNAS, Yu et al. 2020): each step trains the largest, the
smallest and some random sub-networks. Placements are drawn anew each time, so that no expert is always
the first (HAT and AutoMoE train expert e of M in (M - e) / M of the steps).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automoe.space import Architecture, Placement, SearchSpace
from automoe.supernet.config import SupernetConfig
from automoe.supernet.placement import supernet_placement

_VISITS, _PANEL = 1, 2
"""Keep apart the random streams that the same seed makes."""


@dataclass(frozen=True)
class Visit:
    """A sub-transformer: an architecture, and the supernet's expert in each of its slots."""

    arch: Architecture
    placement: Placement


def visits(space: SearchSpace, config: SupernetConfig, seed: int, update: int) -> tuple[Visit, ...]:
    """The sub-transformers that one optimiser step trains.

    Args:
        space: the architectures that there are.
        config: how many are drawn.
        seed: of the training.
        update: optimiser steps before this one.

    Returns:
        The largest, the smallest and `config.random` drawn ones, in this order; of a space with a single
        architecture that one alone.
    """
    largest = space.largest()
    whole = Visit(largest, supernet_placement(largest))
    if space.num_architectures == 1:
        return (whole,)
    envelope = space.envelope()
    rng = np.random.default_rng([seed, _VISITS, update])
    archs = (space.smallest(), *(space.sample(rng) for _ in range(config.random)))
    return (whole, *(Visit(arch, Placement.sample(arch, envelope, rng)) for arch in archs))


def panel(space: SearchSpace, config: SupernetConfig, seed: int) -> dict[str, Visit]:
    """The sub-transformers that every validation looks at, by name, with the placement that everything later uses.

    Returns:
        `largest`, `smallest`, and `random 1` to `random N` of `config.panel` fixed draws; of a space with a
        single architecture the largest alone.
    """
    archs = {"largest": space.largest()}
    if space.num_architectures > 1:
        rng = np.random.default_rng([seed, _PANEL])
        archs["smallest"] = space.smallest()
        archs |= {f"random {index + 1}": space.sample(rng) for index in range(config.panel)}
    return {name: Visit(arch, supernet_placement(arch)) for name, arch in archs.items()}
