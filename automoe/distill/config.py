"""`DistillConfig`: what the chosen sub-transformer begins with and learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from automoe.errors import ConfigError

Initial = Literal["inherited", "random"]


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Word-level distillation (Kim & Rush 2016, section 3.1)."""

    share: float = 0.2
    """Weight of the teacher's distribution in the loss; the reference has the rest."""
    temperature: float = 1.0
    """Divides the scores of both; above 1 the teacher teaches more of what it thinks unlikely."""
    initial: Initial = "inherited"
    """Weights to begin with: the supernet's (`inherited`) or none (`random`)."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError("distill.share", self.share, allowed="0 to 1")
        if not 0 < self.temperature < float("inf"):
            raise ConfigError("distill.temperature", self.temperature, allowed="> 0")
        if self.initial not in get_args(Initial):
            raise ConfigError("distill.initial", self.initial, allowed=", ".join(get_args(Initial)))
