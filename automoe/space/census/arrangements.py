"""Which choices the layers of a model have under the patterns of a space, worked out for given depths."""

from __future__ import annotations

from dataclasses import dataclass

from automoe.space.genes import SideChoices
from automoe.space.roles import FREE_PATTERN
from automoe.space.search_space import SearchSpace


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """What one pattern of expert layers leaves of the choices of both sides."""

    pattern: int
    """Its place among the patterns of the space; 0 in a space without patterns."""
    sides: dict[str, SideChoices]


def arrangements_of(space: SearchSpace, depths: dict[str, int]) -> tuple[Arrangement, ...]:
    """All arrangements of models of given depths; no model has two of them, whatever patterns made them.

    `free` is one. Another pattern adds one only if `free` is not there to make the same models, or cannot: if the
    pattern makes a layer dense that has to choose more experts, or only some of the layers that share their number.

    Args:
        space: the space.
        depths: the depth of each side.
    """
    patterns = space.patterns or (FREE_PATTERN,)
    has_free = any(pattern.is_free for pattern in patterns)
    found: dict[object, Arrangement] = {}
    for place, pattern in enumerate(patterns):
        sides = {side: space.under(pattern, side, depth) for side, depth in depths.items()}
        if (
            has_free
            and not pattern.is_free
            and all(_free_makes(space.sides[side], narrowed, depths[side]) for side, narrowed in sides.items())
        ):
            continue
        counts = tuple(layer.experts.count for side, narrowed in sides.items()
                       for layer in narrowed.layers[: depths[side]])  # fmt: skip
        found.setdefault(counts, Arrangement(pattern=place, sides=sides))
    return tuple(found.values())


def _free_makes(free: SideChoices, narrowed: SideChoices, depth: int) -> bool:
    """Whether layers that choose for themselves can have these numbers of experts."""
    is_dense = [layer.experts.count == (1,) for layer in narrowed.layers[:depth]]
    if any(dense and 1 not in layer.experts.count for dense, layer in zip(is_dense, free.layers, strict=False)):
        return False
    groups = [[is_dense[index] for index in group.layers if index < depth]
              for group in free.shared if group.key == "experts"]  # fmt: skip
    return all(len(set(group)) <= 1 for group in groups)
