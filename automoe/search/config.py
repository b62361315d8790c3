"""How much a search evaluates, and when `select` asks for more."""

from __future__ import annotations

from dataclasses import dataclass

from automoe.errors import ConfigError, did_you_mean
from automoe.search.costs import COSTS, FLOPS, LATENCY


@dataclass(frozen=True, kw_only=True)
class EvolutionConfig:
    """Evolution over the front of quality against costs."""

    evaluations: int = 120
    """Architectures whose loss is computed, in all."""
    population: int = 24
    """Architectures of one generation."""
    parents: int = 12
    """The best of all evaluated ones, which have the next generation's children."""
    mutation: float = 0.1
    """Probability of each gene of a mutant to be drawn anew."""
    crossover: float = 0.5
    """Share of the children that take each gene from one of two parents; the others are mutants of one."""
    costs: tuple[str, ...] = (LATENCY, FLOPS)
    """What is traded against the loss, each by itself; the evaluations are shared among them. Costs that are not
    named are recorded all the same, and a budget can limit them."""

    def __post_init__(self) -> None:
        for name in ("evaluations", "population"):
            if getattr(self, name) < 1:
                raise ConfigError(f"search.{name}", getattr(self, name), allowed=">= 1")
        if self.parents < 2:
            raise ConfigError("search.parents", self.parents, allowed=">= 2")
        if not 0 < self.mutation <= 1:
            raise ConfigError("search.mutation", self.mutation, allowed="0 < p <= 1")
        if not 0 <= self.crossover <= 1:
            raise ConfigError("search.crossover", self.crossover, allowed="0 <= share <= 1")
        if not self.costs:
            raise ConfigError("search.costs", [], "names no cost", allowed=", ".join(COSTS))
        for cost in self.costs:
            if cost not in COSTS:
                hint = did_you_mean(cost, COSTS)
                raise ConfigError("search.costs", cost, "is no cost", allowed=", ".join(COSTS), hint=hint)
        if len(set(self.costs)) < len(self.costs):
            raise ConfigError("search.costs", list(self.costs), "names a cost twice")


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
    """At most so many architectures are measured because their interval straddles the budget. The one that is
    chosen is measured in any case, where measuring is possible."""

    def __post_init__(self) -> None:
        for name in ("near", "extra_evaluations", "measure"):
            if getattr(self, name) < 0:
                raise ConfigError(f"select.{name}", getattr(self, name), allowed=">= 0")
        if not 0 < self.near_ratio < 1:
            raise ConfigError("select.near_ratio", self.near_ratio, allowed="0 < ratio < 1")
