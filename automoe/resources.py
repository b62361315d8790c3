"""Finds the YAML files that come with AutoMoE: in the wheel inside the package, in a checkout beside it."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource_folder(name: str) -> Path:
    """The folder `conf` or `search_spaces`: the package's own copy first (wheel), then the checkout's.

    Raises:
        FileNotFoundError: the installation lacks it, which is our bug and no user's mistake.
    """
    for parent in (_PACKAGE, _PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise FileNotFoundError(f"the folder {name!r} is neither in {_PACKAGE} nor beside it")
