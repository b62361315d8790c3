"""`SupernetConfig`: how many sub-transformers a training step visits, and what they learn from."""

from __future__ import annotations

from dataclasses import dataclass

from automoe.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SupernetConfig:
    """The sandwich rule with in-place distillation (Yu & Huang 2019)."""

    random: int = 1
    """Sub-transformers that every step draws at random, beside the largest and the smallest."""
    distillation: float = 0.2
    """Share of the distillation from the largest sub-network in the loss of all others; the rest is cross-entropy."""
    temperature: float = 1.0
    """Divides the scores of both in the distillation; above 1 the largest teaches more of what it thinks unlikely."""
    panel: int = 2
    """Random sub-transformers, always the same, that are validated beside the largest and the smallest."""

    def __post_init__(self) -> None:
        for name in ("random", "panel"):
            if getattr(self, name) < 0:
                raise ConfigError(f"supernet.{name}", getattr(self, name), allowed=">= 0")
        if not 0 <= self.distillation <= 1:
            raise ConfigError("supernet.distillation", self.distillation, allowed="0 to 1")
        if not 0 < self.temperature < float("inf"):
            raise ConfigError("supernet.temperature", self.temperature, allowed="> 0")
