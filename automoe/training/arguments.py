"""What the arguments of fairseq's command line mean: architectures and spaces, by name, file or content.

A checkpoint of fairseq keeps its arguments. They are replaced by the content that they mean, so that a
checkpoint depends on no file elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from automoe.space import Architecture, SearchSpace, find_space, read_architecture, read_space

_SPACE = "space:"


def architecture_of_argument(argument: str) -> Architecture:
    """What `--architecture` means: JSON, a file, or the envelope of the space behind `space:`.

    Raises:
        SpaceError: there is none, or its file has a mistake.
    """
    if argument.startswith(_SPACE):
        return space_of_argument(argument.removeprefix(_SPACE)).envelope()
    if argument.lstrip().startswith("{"):
        return Architecture.from_dict(json.loads(argument))
    return read_architecture(Path(argument))


def space_of_argument(argument: str) -> SearchSpace:
    """What `--space` means: JSON, a file, or the name of a shipped space.

    Raises:
        SpaceError: there is none, or its file has a mistake.
    """
    if argument.lstrip().startswith("{"):
        return SearchSpace.from_dict(json.loads(argument))
    return read_space(find_space(argument))


def spell_out(cfg: Any) -> None:
    """Replaces the architecture or the space in a configuration, if it has one, by its content in JSON."""
    for key, meaning in (("architecture", architecture_of_argument), ("space", space_of_argument)):
        if hasattr(cfg, key):
            setattr(cfg, key, json.dumps(meaning(getattr(cfg, key)).to_dict()))
