"""`extends:` of a space file: what a file says laid over what the file that it extends says.

    extends: hat_wmt14            # a space that comes with AutoMoE, or a path that starts from this file's folder

The file, its sides and their `layer` are merged key by key. Anything else replaces what the base says: a number, a
list, and a `{choice: ...}`, which is one value. `constraints` are added to those of the base, `name` is not
inherited, and `null` removes what the base says, if it says anything.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from automoe.errors import SpaceError, did_you_mean
from automoe.space.files.fields import Field, Mistakes
from automoe.space.files.hat import is_hat
from automoe.space.files.yaml_file import Pair, Tree, load_tree
from automoe.space.shipped import find_space

_NOT_INHERITED = ("name", "extends")
_BASES = "the name of a space that comes with AutoMoE, or the path of a file"
_LEVELS = 3
"""Mappings within mappings that are merged: the file, a side, a layer. (Aliases could nest very many.)"""


def load_extended(path: Path, mistakes: Mistakes, above: tuple[Path, ...] = ()) -> Tree | None:
    """The tree of a file, merged with those of all files that it extends; each value knows its own file.

    Args:
        path: the file.
        mistakes: takes what is wrong with an `extends`.
        above: files that extend this one, the first of them first.

    Returns:
        the tree; None if an `extends` is wrong, so that nothing can be said of the rest.

    Raises:
        SpaceError: one of the files cannot be read or is not well-formed.
    """
    tree = load_tree(path)
    root = Field(tree, mistakes)
    field = root.child("extends")
    if field is None or is_hat(root):
        return tree
    base_path = _base_of(field, path, (*above, path))
    if base_path is None:
        return None
    base = load_extended(base_path, mistakes, (*above, path))
    if base is None:
        return None
    if base.pairs is None or is_hat(Field(base, mistakes)):
        field.wrong("is no search space, so that it cannot be extended", hint="Extend a file in AutoMoE's own form")
        return None
    inherited = tuple(pair for pair in base.pairs if pair.key not in _NOT_INHERITED)
    return merged(replace(base, pairs=inherited), tree)


def merged(base: Tree, child: Tree) -> Tree:
    """The file `child` laid over the file `base`; keys of `base` come first.

    A key that stands twice in one of them does so in the result, for `Field.entries` to find.
    """
    return _merged(base, child, _LEVELS)


def _merged(base: Tree, child: Tree, levels: int) -> Tree:
    if not levels or base.pairs is None or child.pairs is None or _is_choice(base) or _is_choice(child):
        return _removing_nothing(child, levels)
    given: dict[str, list[Pair]] = {}
    for pair in child.pairs:
        given.setdefault(pair.key, []).append(pair)
    pairs: list[Pair] = []
    for pair in base.pairs:
        own = given.get(pair.key)
        if not own:  # the child has none, or the base has the key twice and it was merged the first time
            pairs.append(pair)
            continue
        first, given[pair.key] = own[0], []
        if not first.value.is_null:
            pairs.append(replace(first, value=_merged_value(pair, first.value, levels)))
        pairs += own[1:]
    rest = replace(child, pairs=tuple(pair for own in given.values() for pair in own))
    return replace(child, pairs=(*pairs, *(_removing_nothing(rest, levels).pairs or ())))


def _removing_nothing(tree: Tree, levels: int) -> Tree:
    """What a file says where its base says nothing; a null has nothing to remove there."""
    if tree.is_null:
        return replace(tree, removes=True)
    if not levels or tree.pairs is None or _is_choice(tree):
        return tree
    pairs = (replace(pair, value=_removing_nothing(pair.value, levels - 1)) for pair in tree.pairs)
    return replace(tree, pairs=tuple(pairs))


def _merged_value(base: Pair, child: Tree, levels: int) -> Tree:
    if base.key != "constraints" or levels < _LEVELS:
        return _merged(base.value, child, levels - 1)
    for tree in (child, base.value):
        if tree.items == ():  # a mistake, which would be lost among the elements of the other
            return tree
    return replace(child, items=(*_elements(base.value), *_elements(child)), pairs=None, text="", scalar=None)


def _elements(tree: Tree) -> tuple[Tree, ...]:
    """The elements of a list; anything else counts as one."""
    return (tree,) if tree.items is None else tree.items


def _is_choice(tree: Tree) -> bool:
    return any(pair.key == "choice" for pair in tree.pairs or ())


def _base_of(field: Field, path: Path, chain: tuple[Path, ...]) -> Path | None:
    """The file that `field` names; None, and a mistake noted, if there is none or it is one of `chain`."""
    if not field.is_scalar or field.tree.is_null:
        hint = "Remove the line" if field.tree.is_null else "Extend one file; that can extend another itself"
        field.wrong("is no name of a space", allowed=_BASES, hint=hint)
        return None
    if (name := field.word()) is None:
        return None
    try:
        base = find_space(name, beside=path)
    except SpaceError as error:
        field.wrong(error.problem, allowed=error.allowed, hint=error.hint)
        return None
    if not os.path.exists(base):  # noqa: PTH110 (Path.exists raises where a name is too long)
        near = did_you_mean(base.name, [file.name for file in path.parent.glob("*.yaml") if file != path])
        field.wrong("there is no such file", hint=near or f"A relative path starts from {path.parent}")
        return None
    if os.path.isdir(base):  # noqa: PTH112 (as above)
        names = [str(Path(name) / file.name) for file in sorted(base.glob("*.yaml"))]
        field.wrong("is a folder, not a file", hint=f"Name a file of it, such as {names[0]}" if names else None)
        return None
    files = [file.resolve() for file in chain]
    if base.resolve() in files:
        circle = [file.name for file in chain[files.index(base.resolve()) :]]
        field.wrong("the files extend each other in a circle: " + " > ".join([*circle, base.name]))
        return None
    return base
