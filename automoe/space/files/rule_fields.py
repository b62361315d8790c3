"""Reads `expert_layers:` and `constraints:` of a space file, the rules for whole architectures.

expert_layers: {choice: [free, every 2, encoder, last 3]}    # the placement of expert layers; or one pattern
constraints:                                                 # conditions that every architecture meets; or one
  - decoder.layers <= encoder.layers
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from automoe.errors import SpaceError, did_you_mean
from automoe.space.constraints import Constraint
from automoe.space.expert_layers import ExpertLayers
from automoe.space.files.fields import Field
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
        if constraint in constraints:
            element.wrong(f"is listed twice, first {constraints[constraint].place}")
        constraints.setdefault(constraint, element)
    return constraints


def note_contradictions(space: SearchSpace, places: dict[Constraint, Field]) -> None:
    """Notes constraints that no architecture of `space` meets, alone or together.

    Args:
        space: a space whose choices go together.
        places: its constraints, each with its place.
    """
    if not places or not _is_empty(space, space.constraints):
        return
    hopeless = [constraint for constraint in places if _is_empty(space, (constraint,))]
    for constraint in hopeless:
        places[constraint].wrong("no architecture of the space meets it", hint="Remove it, or widen the choices")
    if hopeless:
        return
    needed = tuple(places)
    for constraint in places:  # what is left contradicts itself, and nothing smaller in it does
        fewer = tuple(other for other in needed if other != constraint)
        needed = fewer if _is_empty(space, fewer) else needed
    *others, last = needed
    rivals = " and ".join(f"{other} ({places[other].place})" for other in others)
    places[last].wrong(
        f"contradicts {rivals}: each can be met alone, but no architecture of the space meets all of them",
        hint="Remove one of them, or widen the choices",
    )


def _is_empty(space: SearchSpace, constraints: tuple[Constraint, ...]) -> bool:
    from automoe.space.census.census import Census  # not every space has constraints, and counting takes many modules

    return Census(replace(space, constraints=constraints)).is_empty


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
