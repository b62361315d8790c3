"""`PredictorConfig`: which regressor predicts costs, and how sure its intervals are."""

from __future__ import annotations

from dataclasses import dataclass, field

from automoe.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PredictorConfig:
    """Settings of a predictor."""

    kind: str = "ridge"
    """The regressor, by name: one of `REGRESSORS`, one that another package registers, or `auto`: the one that
    predicts held-out rows of the table best."""
    coverage: float = 0.9
    """Share of the architectures whose value lies in their interval. 0.9 takes 9 measured ones; of fewer the largest
    error counts twice, and what that covers is in the report."""
    folds: int = 10
    """Parts of the cross-validation that calibrates the intervals and makes the report; at most one a measured
    architecture."""
    table: str | None = field(default=None, metadata={"hashed": False})
    """A measured table to learn from by itself, of ours or a published one: there is nothing to search then."""
    base: str | None = field(default=None, metadata={"hashed": False})
    """What learnt another device: its `predictor.json`, its run folder, or its table."""

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise ConfigError("predictor.coverage", self.coverage, allowed="0 < coverage < 1")
        if self.folds < 2:
            raise ConfigError("predictor.folds", self.folds, allowed=">= 2")
