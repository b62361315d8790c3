"""`SupernetConfig`: which sub-transformers a training step visits, and what they learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from automoe.errors import ConfigError

Rule = Literal["sandwich", "single_path"]
Placements = Literal["fair", "first"]


@dataclass(frozen=True, kw_only=True)
class SupernetConfig:
    """How a supernet is trained; as it stands the sandwich rule with in-place distillation (Yu & Huang 2019).

    Runs choose the group `supernet=single_path` by default, which sets the fields that go with it.
    """

    rule: Rule = "sandwich"
    """What each step visits: the largest, the smallest and random sub-transformers (`sandwich`), or one random one
    (`single_path`: Guo et al. 2020, HAT, AutoMoE), which learns from the reference alone."""
    placements: Placements = "fair"
    """Experts of what is visited: drawn anew each time, so that all are trained equally (`fair`), or always the first
    ones (`first`: AutoMoE)."""
    random: int = 1
    """Sub-transformers that every step of the sandwich draws at random, beside the largest and the smallest."""
    distillation: float = 0.2
    """Share of the distillation from the largest sub-network in the loss of all others; the rest is cross-entropy."""
    temperature: float = 1.0
    """Divides the scores of both in the distillation; above 1 the largest teaches more of what it thinks unlikely."""
    panel: int = 2
    """Random sub-transformers, always the same, that are validated beside the largest and the smallest."""

    def __post_init__(self) -> None:
        for name, kinds in (("rule", get_args(Rule)), ("placements", get_args(Placements))):
            if getattr(self, name) not in kinds:
                raise ConfigError(f"supernet.{name}", getattr(self, name), allowed=", ".join(kinds))
        for name in ("random", "panel"):
            if getattr(self, name) < 0:
                raise ConfigError(f"supernet.{name}", getattr(self, name), allowed=">= 0")
        if not 0 <= self.distillation <= 1:
            raise ConfigError("supernet.distillation", self.distillation, allowed="0 to 1")
        if not 0 < self.temperature < float("inf"):
            raise ConfigError("supernet.temperature", self.temperature, allowed="> 0")
        if self.rule == "single_path":
            hint = "A single path has nothing beside it; supernet=single_path brings the settings that go with it"
            for name, only in (("random", 1), ("distillation", 0)):
                if getattr(self, name) != only:
                    raise ConfigError(f"supernet.{name}", getattr(self, name), allowed=str(only), hint=hint)
