"""Finds all mistakes of a search space or architecture file at once."""

from __future__ import annotations

from pathlib import Path

from automoe.errors import SpaceError
from automoe.space.files.space_file import parse_file


def lint(path: str | Path) -> list[SpaceError]:
    """All mistakes of a file in the order of their lines, then those of the files that it extends.

    No mistakes means that `read_space` reads it.

    A file that is missing or not well-formed has one mistake, since nothing behind it can be judged.

    Raises:
        DependencyError: PyYAML is not installed.
    """
    try:
        _, mistakes = parse_file(Path(path))
    except SpaceError as error:
        return [error]
    return mistakes.sorted()
