"""What a training minimises: the plain loss, that of a supernet, or the distillation from a teacher."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from automoe.distill import DistillConfig
from automoe.errors import ConfigError
from automoe.space import SearchSpace
from automoe.supernet import SupernetConfig


@dataclass(frozen=True)
class PlainObjective:
    """Smoothed cross-entropy of one architecture."""

    kind: ClassVar[str] = "plain"
    label: ClassVar[str] = "training"
    """What the progress line calls the training."""
    criterion: ClassVar[str] = "automoe_cross_entropy"
    """Name of the criterion in fairseq."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `objective_from_dict`."""
        return {"kind": self.kind}

    def flags(self) -> list[str]:
        """Arguments of fairseq that choose the criterion."""
        return ["--criterion", self.criterion]


@dataclass(frozen=True, kw_only=True)
class SupernetObjective:
    """The losses of the sub-transformers that `supernet.visits` names, see `supernet.supernet_loss`."""

    space: SearchSpace
    config: SupernetConfig

    kind: ClassVar[str] = "supernet"
    label: ClassVar[str] = "supernet"
    criterion: ClassVar[str] = "automoe_supernet"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `objective_from_dict`."""
        return {"kind": self.kind, "space": self.space.to_dict(), "config": _form(self.config, SupernetConfig)}

    def flags(self) -> list[str]:
        """Arguments of fairseq that choose the criterion."""
        return [
            *("--criterion", self.criterion, "--space", self.space_argument()),
            *("--rule", self.config.rule, "--placements", self.config.placements),
            *("--random-architectures", str(self.config.random), "--panel", str(self.config.panel)),
            *("--distillation", str(self.config.distillation)),
            *("--distillation-temperature", str(self.config.temperature)),
        ]

    def space_argument(self) -> str:
        """The space in JSON, as fairseq is given it: in a name its configuration would give some signs a meaning."""
        return json.dumps(replace(self.space, name="space").to_dict())


@dataclass(frozen=True, kw_only=True)
class DistillObjective:
    """The reference and a teacher, see `distill.distillation_loss`."""

    teachers: tuple[Path, ...]
    """Folders of the models that teach together, see `training.teachers`; none is read where the share is 0."""
    config: DistillConfig

    kind: ClassVar[str] = "distillation"
    label: ClassVar[str] = "distillation"
    criterion: ClassVar[str] = "automoe_distillation"

    def __post_init__(self) -> None:
        if self.config.share > 0 and not self.teachers:
            raise ConfigError("distill.share", self.config.share, "needs a teacher", allowed="0 without one")

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `objective_from_dict`."""
        teachers = [str(folder.resolve()) for folder in self.teachers]
        return {"kind": self.kind, "teachers": teachers, "config": _form(self.config, DistillConfig)}

    def flags(self) -> list[str]:
        """Arguments of fairseq that choose the criterion."""
        return [
            *("--criterion", self.criterion, "--teacher", self.teacher_argument()),
            *("--distillation", str(self.config.share)),
            *("--distillation-temperature", str(self.config.temperature)),
        ]

    def teacher_argument(self) -> str:
        """The folders in JSON, as fairseq is given them; escaped, where its configuration gives signs a meaning."""
        text = json.dumps([str(folder.resolve()) for folder in self.teachers])
        return text.replace("$", "\\u0024").replace("'", "\\u0027")


Objective = PlainObjective | SupernetObjective | DistillObjective


def objective_from_dict(form: Mapping[str, Any]) -> Objective:
    """Reads the JSON form of an objective's `to_dict`."""
    if form["kind"] == SupernetObjective.kind:
        config = SupernetConfig(**form["config"])
        return SupernetObjective(space=SearchSpace.from_dict(form["space"]), config=config)
    if form["kind"] == DistillObjective.kind:
        return DistillObjective(teachers=tuple(map(Path, form["teachers"])), config=DistillConfig(**form["config"]))
    return PlainObjective()


def _form(config: Any, kind: type[Any]) -> dict[str, Any]:
    """The fields of `kind` alone: a caller's subclass may have more."""
    return {field.name: getattr(config, field.name) for field in fields(kind)}
