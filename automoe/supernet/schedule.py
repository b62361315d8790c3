"""Which sub-transformers are trained at an update, and which are validated: pure functions of the seed.

The sandwich rule (Yu & Huang 2019, section 3.1; BigNAS, Yu et al. 2020): each step trains the largest, the
smallest and some random sub-networks. Single path (Guo et al. 2020; HAT and AutoMoE): each step trains one random
sub-network, every choice drawn uniformly. Fair placements are drawn anew each time, so that no expert is always the
first (AutoMoE trains expert e of M in (M - e) / M of the steps).
"""

from __future__ import annotations

from collections.abc import Sequence
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
        config: by which rule, how many are drawn, and on which experts.
        seed: of the training.
        update: optimiser steps before this one.

    Returns:
        By the sandwich rule the largest, the smallest and `config.random` drawn ones, in this order; a single drawn
        one on a single path; of a space with a single architecture that one alone.
    """
    largest = space.largest()
    whole = Visit(largest, Placement.first(largest))  # which has no expert left to choose among
    if space.num_architectures == 1:
        return (whole,)
    rng = np.random.default_rng([seed, _VISITS, update])
    drawn = [space.sample(rng) for _ in range(config.random)]
    if config.rule == "single_path":
        return _placed(drawn, space, config, rng)
    return (whole, *_placed([space.smallest(), *drawn], space, config, rng))


def _placed(
    archs: Sequence[Architecture], space: SearchSpace, config: SupernetConfig, rng: np.random.Generator
) -> tuple[Visit, ...]:
    if config.placements == "first":
        return tuple(Visit(arch, Placement.first(arch)) for arch in archs)
    envelope = space.envelope()
    return tuple(Visit(arch, Placement.sample(arch, envelope, rng)) for arch in archs)


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
