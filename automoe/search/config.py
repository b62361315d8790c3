"""How much a search evaluates and what it looks for, and when `select` asks for more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from automoe.errors import ConfigError
from automoe.search.budget import parse_budget
from automoe.search.costs import FLOPS, LATENCY
from automoe.search.problem import check_objectives
from automoe.search.searcher import options_of


@dataclass(frozen=True, kw_only=True)
class ArchitectureSearchConfig:
    """Which architectures are evaluated."""

    searcher: str = "evolution"
    """What proposes them, by name: one of `SEARCHERS`, or one that another package registers."""
    options: dict[str, Any] = field(default_factory=dict)
    """Settings of the searcher by name; those that are not given take their defaults."""
    evaluations: int = 120
    """Architectures that are evaluated, in all."""
    objectives: tuple[str, ...] = ("loss", LATENCY, FLOPS)
    """What is to be good: `loss` and `bleu` (with inherited weights), and costs. All costs are recorded in any case,
    and a budget can limit them."""
    within: Any = None
    """A budget that nothing may exceed by prediction, in the form of `budget`; None searches at all costs, so that
    any budget can be applied afterwards."""
    quality_predictor: str | None = "sizes"
    """The regressor that guesses the quality of proposals from those evaluated; None takes them as they come."""
    screen: int = 16
    """Proposals whose quality is guessed, for each that is evaluated."""
    asynchronous: bool = False
    """Whether a new architecture is proposed whenever a worker is free, instead of by generations: no worker waits,
    but the result depends on which is fast."""

    def __post_init__(self) -> None:
        for name in ("evaluations", "screen"):
            if getattr(self, name) < 1:
                raise ConfigError(f"search.{name}", getattr(self, name), allowed=">= 1")
        check_objectives(self.objectives)
        if not isinstance(self.options, Mapping):
            raise ConfigError("search.options", self.options, "is no mapping", hint="For example {population: 24}")
        options_of(self.searcher, self.options)
        if self.within is not None:
            parse_budget(self.within, "search.within")


@dataclass(frozen=True, kw_only=True)
class SelectConfig:
    """The choice under a budget."""

    near: int = 8
    """So many evaluated architectures should lie just below the budget; otherwise the search goes on there."""
    near_ratio: float = 0.85
    """Just below the budget: of the limit that binds most, at least this share is used."""
    extra_evaluations: int = 24
    """Evaluations that are added where too few lie there; 0 adds none."""
    measure: int = 6
    """At most so many architectures are measured because their interval straddles the budget, before and after each
    refit. The one that is chosen is measured in any case, where measuring is possible."""
    latency_margin: float = field(default=1.0, metadata={"hashed": "unless default"})
    """The choice has to stay so many times below a limit on latency: room for what its bundle takes more than the
    same architecture with inherited weights. The bundle is held against the limit as it was given."""
    refits: int = 1
    """So often the predictor is fitted again to what was measured, and the search goes on below the budget."""

    def __post_init__(self) -> None:
        for name in ("near", "extra_evaluations", "measure", "refits"):
            if getattr(self, name) < 0:
                raise ConfigError(f"select.{name}", getattr(self, name), allowed=">= 0")
        if not 0 < self.near_ratio < 1:
            raise ConfigError("select.near_ratio", self.near_ratio, allowed="0 < ratio < 1")
        if not 1 <= self.latency_margin < math.inf:
            raise ConfigError("select.latency_margin", self.latency_margin, allowed=">= 1")
