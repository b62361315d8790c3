"""`supernet_placement`: the experts that everything after the training of the supernet uses."""

from __future__ import annotations

from automoe.space import Architecture, Placement


def supernet_placement(arch: Architecture) -> Placement:
    """Which of the supernet's experts fill the slots of `arch`: the first ones.

    Training draws placements, so that every expert meets every slot that it fits; search, inheritance and
    extraction ask here, and so all mean the same weights.
    """
    return Placement.first(arch)
