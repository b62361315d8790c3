"""Reads `share:` of a choice: which layers of a side have the value in common.

heads: {choice: [4, 8], share: all}                       # one number for all layers of the side
heads: {choice: [4, 8], share: [[1, 2, 3], [4, 5, 6]]}    # one for each group; layers are counted from 1
heads: {choice: [4, 8], share: none}                      # one for every layer, as without `share`
"""

from __future__ import annotations

from collections.abc import Mapping

from automoe.errors import did_you_mean
from automoe.space.files.fields import Field
from automoe.space.genes import Shared

_WORDS = ("all", "none")
_ALLOWED = "all, none, or groups of layers like [[1, 2], [3, 4]]"


def shares_of(entries: Mapping[str, Field], depth: int) -> tuple[Shared, ...]:
    """What the layers of a side share.

    Args:
        entries: the values of `layer:` by key.
        depth: layers of the deepest model.
    """
    shared = []
    for key, value in entries.items():
        field = value.child("share")
        if field is None:
            continue
        per = value.child("per")
        if per is not None and per.tree.text == "expert":
            hint = "Write per: layer, or leave share out"
            field.wrong("stands beside per: expert, but layers can only share one width for all experts", hint=hint)
            continue
        shared += [Shared(key=key, layers=group) for group in _groups(field, depth)]
    return tuple(sorted(shared))


def refuse_shares(entries: Mapping[str, Field]) -> None:
    """Notes a mistake for every `share` of a layer that stands in a list of layers."""
    for value in entries.values():
        if (field := value.child("share")) is not None:
            hint = "Give the number of layers as `layers`, and the choices of all of them as `layer`"
            field.wrong("stands in a list of layers, each of which has choices of its own", hint=hint)


def _groups(field: Field, depth: int) -> list[tuple[int, ...]]:
    """Groups of at least two layers, counted from 0; what is wrong with one is noted, and it is left out."""
    if field.is_scalar and field.tree.text in _WORDS:
        return [tuple(range(depth))] if field.tree.text == "all" and depth > 1 else []
    if not field.is_list:
        text = field.tree.text
        field.wrong("does not say which layers share a value", allowed=_ALLOWED, hint=did_you_mean(text, _WORDS))
        return []
    elements = field.elements()
    if elements and all(element.is_scalar for element in elements):
        field.wrong("is a list of layers, not of groups", allowed=_ALLOWED, hint=f"Write [{field.tree.shown()}]")
        return []
    seen: dict[int, Field] = {}
    groups = [_group(element, depth, seen) for element in elements]
    return [group for group in groups if len(group) > 1]


def _group(field: Field, depth: int, seen: dict[int, Field]) -> tuple[int, ...]:
    """One group, ascending; `seen` holds the layers of all groups so far, with the place of each."""
    elements, numbers = field.elements(), []
    for element in elements:
        number = element.whole_number(maximum=depth)
        if number is None:
            continue
        if number in seen:
            twice = "is listed twice" if number in numbers else f"is in the group {seen[number].key} already"
            element.wrong(twice)
            continue
        seen[number] = field
        numbers.append(number)
    if len(elements) == 1:
        field.wrong("is a group of one layer, which has nobody to share with", hint="A layer in no group is free")
    return tuple(sorted(number - 1 for number in numbers))
