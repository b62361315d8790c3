"""Finds the search spaces and architectures that come with AutoMoE by name, and those of users by path."""

from __future__ import annotations

from pathlib import Path

from automoe.errors import SpaceError, did_you_mean
from automoe.resources import resource_folder
from automoe.space.files.yaml_file import YAML_SUFFIXES


def find_space(name_or_path: str | Path, beside: Path | None = None) -> Path:
    """The file of a search space: a path (with a folder or a suffix) as it is, a bare name among the shipped.

    Args:
        name_or_path: the name or the path.
        beside: a file from whose folder a relative path starts; None: the working directory.

    Raises:
        SpaceError: no such name, and it lists those that there are; or a shipped name with a suffix, where no such
            file is.
    """
    return _find(name_or_path, "space", resource_folder("search_spaces"), beside)


def find_architecture(name_or_path: str | Path) -> Path:
    """The file of an architecture: a path as it is, or the name of a shipped one.

    Raises:
        SpaceError: no such file, or no such name; it lists the names that there are.
    """
    return _find(name_or_path, "architecture", resource_folder("search_spaces") / "architectures")


def _find(name_or_path: str | Path, kind: str, folder: Path, beside: Path | None = None) -> Path:
    path = Path(name_or_path)
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    if path.suffix in (*YAML_SUFFIXES, ".json") or len(path.parts) > 1 or str(name_or_path).startswith("."):
        path = path if beside is None else beside.parent / path
        if path.stem in names and not path.exists():
            hint = f"To use the one that comes with AutoMoE write {path.stem!r}"
            raise SpaceError("there is no such file", file=path, hint=hint)
        return path
    name = str(name_or_path)
    if name not in names:
        raise SpaceError(
            f"no {kind} of this name comes with AutoMoE",
            key=kind,
            value=name,
            allowed=", ".join(names),
            hint=did_you_mean(name, names) or "A file of your own needs its path, such as ./mine.yaml",
        )
    return folder / f"{name}.yaml"
