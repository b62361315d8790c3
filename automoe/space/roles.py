"""Roles: what a pattern of expert layers says of one layer, and what that leaves of its choices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import IntEnum

from automoe.space.expert_layers import ExpertLayers
from automoe.space.genes import Choices, Shared, SideChoices

FREE_PATTERN = ExpertLayers(kind="free")


class Role(IntEnum):
    """What a layer is under a pattern."""

    FREE = 0
    """It has any of its numbers of experts."""
    EXPERTS = 1
    """It has more than one expert."""
    DENSE = 2
    """It has one expert, whether that is among its numbers or not."""

    def left_of(self, counts: Choices) -> Choices:
        """What it leaves of a layer's numbers of experts."""
        if self is Role.FREE:
            return counts
        return tuple(count for count in counts if count > 1) if self is Role.EXPERTS else (1,)


def role_of(pattern: ExpertLayers, side: str, index: int, depth: int) -> Role:
    """The role of the layer `index`, from 0, of a side of `depth` layers."""
    if pattern.is_free:
        return Role.FREE
    return Role.EXPERTS if pattern.has_experts(side, index, depth) else Role.DENSE


def roles_of(patterns: Iterable[ExpertLayers], side: str, index: int, depths: Choices) -> frozenset[Role]:
    """All roles that a layer can have in models that are deep enough to have it; one at least."""
    return frozenset(
        role_of(pattern, side, index, depth) for pattern in patterns for depth in depths if depth > index
    )


def under(pattern: ExpertLayers, side: str, choices: SideChoices, depth: int) -> SideChoices:
    """What a pattern leaves of the choices of a side of `depth` layers.

    Where layers share their number of experts, those of them that have experts go on sharing it.
    """
    if pattern.is_free:
        return choices
    roles = [role_of(pattern, side, index, depth) for index in range(depth)]
    layers = tuple(
        replace(layer, experts=replace(layer.experts, count=role.left_of(layer.experts.count)))
        for layer, role in zip(choices.layers, roles, strict=False)
    )
    agreeing = {group: [i for i in group.layers if i < depth and (group.key != "experts" or roles[i] is Role.EXPERTS)]
                for group in choices.shared}  # fmt: skip
    shared = tuple(Shared(key=group.key, layers=tuple(left)) for group, left in agreeing.items() if left)
    return replace(choices, depth=(depth,), layers=layers, shared=shared)
