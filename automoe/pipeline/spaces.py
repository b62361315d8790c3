"""What a run searches: its space as a value, or the space of one architecture where `architecture` is set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from automoe.errors import SpaceError
from automoe.pipeline.config import RunConfig
from automoe.space import SearchSpace, find_architecture, find_space, read_space, read_space_file


@dataclass(frozen=True, kw_only=True)
class SpacePart:
    """A space as a stage's hash sees it: how its choices are written counts, its name does not."""

    space: SearchSpace = field(metadata={"hashed": False})
    choices: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        choices = {name: value for name, value in self.space.to_dict().items() if name != "name"}
        object.__setattr__(self, "choices", choices)


def space_part(config: RunConfig) -> SpacePart:
    """The space that the supernet holds.

    Raises:
        SpaceError: no such file, or a mistake in it.
    """
    if config.architecture is not None:
        file = read_space_file(find_architecture(config.architecture))
        file.architecture()  # refuses a file that leaves something to choose
        return SpacePart(space=file.space)
    return SpacePart(space=read_space(find_space(config.space)))


def searched_part(config: RunConfig) -> SpacePart:
    """The space of a run that searches.

    Raises:
        SpaceError: it holds a single architecture.
    """
    part = space_part(config)
    if part.space.num_architectures == 1:
        hint = "Give at least one key a {choice: [...]}, or train the one architecture with architecture=FILE"
        raise SpaceError("has no choices, so there is nothing to search", key="space", value=config.space, hint=hint)
    return part
