"""`DistillConfig`: what the chosen sub-transformer begins with and learns from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from automoe.errors import ConfigError

Initial = Literal["inherited", "random", "teacher"]
Targets = Literal["references", "teacher", "both"]


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Word-level and sequence-level distillation (Kim & Rush 2016, sections 3.1 to 3.3), one or both or neither."""

    share: float = 0.5
    """Weight of the teacher's distribution in the loss (word-level); the targets have the rest."""
    temperature: float = 1.0
    """Divides the scores of both; above 1 the teacher teaches more of what it thinks unlikely."""
    initial: Initial = "inherited"
    """Weights to begin with: the supernet's (`inherited`), none (`random`), or all of the teacher's but those of
    experts and routers (`teacher`; Fedus et al. 2022, section 4.2)."""
    targets: Targets = field(default="references", metadata={"hashed": "unless default"})
    """Translations to learn: the corpus's (`references`), the teacher's (`teacher`: sequence-level), or `both`."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError("distill.share", self.share, allowed="0 to 1")
        if not 0 < self.temperature < float("inf"):
            raise ConfigError("distill.temperature", self.temperature, allowed="> 0")
        for name, kind in (("initial", Initial), ("targets", Targets)):
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(f"distill.{name}", getattr(self, name), allowed=", ".join(get_args(kind)))
