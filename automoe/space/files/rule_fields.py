"""Reads `expert_layers:` and `constraints:` of a space file, the rules for whole architectures.

expert_layers: {choice: [free, every 2, encoder, last 3]}    # the placement of expert layers; or one pattern
constraints:                                                 # conditions that every architecture meets; or one
  - decoder.layers <= encoder.layers
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from automoe.errors import SpaceError, did_you_mean
from automoe.space.constraints import Constraint
from automoe.space.expert_layers import ExpertLayers
from automoe.space.files.fields import Field
from automoe.space.genes import Choices
from automoe.space.search_space import SearchSpace


def parse_expert_layers(field: Field | None) -> dict[ExpertLayers, Field]:
    """The patterns of expert layers, each with its place; none where the key is absent."""
    patterns: dict[ExpertLayers, Field] = {}
    for element in _patterns(field):
        try:
            pattern = ExpertLayers.parse(element.tree.text)
        except SpaceError as error:
            element.wrong(error.problem, allowed=error.allowed, hint=_intended_pattern(element.tree.text))
            continue
        if pattern in patterns:
            element.wrong(f"is listed twice, first {patterns[pattern].place}")
        patterns.setdefault(pattern, element)
    return patterns


def parse_constraints(field: Field | None) -> dict[Constraint, Field]:
    """The constraints, each with its place; none where the key is absent."""
    constraints: dict[Constraint, Field] = {}
    for element in _expressions(field):
        if not element.is_scalar:
            element.wrong("is no expression", allowed="a condition like decoder.layers <= encoder.layers")
            continue
        try:
            constraint = Constraint.parse(element.tree.text)
        except SpaceError as error:
            element.wrong(error.problem, allowed=error.allowed, hint=error.hint)
            continue
        if constraint in constraints and constraints[constraint].tree.file == element.tree.file:
            element.wrong(f"is listed twice, first {constraints[constraint].place}")
        constraints.setdefault(constraint, element)
    return constraints


def note_contradictions(space: SearchSpace, places: dict[Constraint, Field]) -> None:
    """Notes constraints that no architecture of `space` meets, alone or together.

    Args:
        space: a space whose choices go together.
        places: its constraints, each with its place.
    """
    if not places:
        return
    from automoe.space.census.cells import refuse_uncountable  # not every space has constraints, and counting takes
    from automoe.space.census.conflicts import conflicts_of  # many modules

    try:
        refuse_uncountable(space)
    except SpaceError as error:
        of_layers = [field for constraint, field in places.items() if constraint.layer_side is not None]
        of_layers[-1].wrong(error.problem, allowed=error.allowed, hint=error.hint)
        return
    for *others, last in conflicts_of(space):
        if not others:
            places[last].wrong("no architecture of the space meets it", hint="Remove it, or widen the choices")
            continue
        rivals = " and ".join(f"{other} ({places[other].place})" for other in others)
        places[last].wrong(
            f"contradicts {rivals}: each can be met alone, but no architecture of the space meets all of them",
            hint="Remove one of them, or widen the choices",
        )


def note_needless_patterns(patterns: dict[ExpertLayers, Field], depths: dict[str, Choices]) -> None:
    """Notes patterns that give no layer experts, and those that name the same layers as another.

    Args:
        patterns: each with its place.
        depths: of the sides.
    """
    deepest = " and ".join(f"{side}s of up to {depth[-1]} layer(s)" for side, depth in depths.items())
    named_by: dict[tuple[tuple[int, ...], ...], ExpertLayers] = {}
    for pattern, field in patterns.items():
        if pattern.is_free:
            continue
        named = tuple(tuple(index for index in range(depth) if pattern.has_experts(side, index, depth))
                      for side, choices in depths.items() for depth in choices)  # fmt: skip
        if not any(named) and pattern.kind != "none":
            field.wrong(f"names no layer of any model: the space has {deepest}", hint="Remove it, or write none")
        elif named in named_by:
            first = named_by[named]
            problem = (
                f"names the same layers as '{first}' {patterns[first].place}, in every model: the space has {deepest}"
            )
            field.wrong(problem, hint="Remove one of the two")
        named_by.setdefault(named, pattern)


def _patterns(field: Field | None) -> list[Field]:
    if field is None:
        return []
    if field.is_list:
        field.wrong("is a list", hint=f"To choose among patterns write {{choice: {field.tree.shown()}}}")
        return []
    if field.is_scalar:
        return [field]
    entries = field.entries(("choice",), required=("choice",))
    return entries["choice"].elements() if "choice" in entries else []


def _expressions(field: Field | None) -> Iterator[Field]:
    """The elements of a list or the one value; counted within its own file, since a base may have some as well."""
    if field is None:
        return
    if not field.is_list:
        yield field
        return
    counted: Counter[object] = Counter()
    for element in field.elements():
        element.key = f"{field.key}[{counted[element.tree.file]}]"
        counted[element.tree.file] += 1
        yield element


def _intended_pattern(text: str) -> str | None:
    number = (re.findall(r"[1-9][0-9]*", text) or ["2"])[0]
    counted = [f"{word} {number}" for word in ("every", "first", "last")]
    layers = ["all", *counted]
    known = ["free", "none", "encoder", "decoder", *layers]
    return did_you_mean(text, [*known, *(f"{side} {each}" for side in ("encoder", "decoder") for each in layers)])
