"""Budgets: limits on costs, as a user writes them and as the search applies them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

from automoe.errors import ConfigError, did_you_mean
from automoe.search.costs import COSTS, LATENCY, UNITS, check_device, shown_cost
from automoe.search.evaluator import Estimate
from automoe.space import SearchSpace

_LIKE = "For example {latency_ms: 15, params_m: 8}"
_ROUNDED_UP = 1.0005
"""What is recommended is shown with four digits, and must still do."""
_SUSPICIOUS = 1e6
"""No limit is as large as this in our units: it was meant in FLOPs, bytes or single parameters."""
_POWERS = {"10^6": 1e6, "10^9": 1e9}
_MISTAKEN = 20
"""A limit that is so many times below the least possible may have been meant in another unit."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One line of a budget: the most that one cost may be."""

    cost: str
    """Its name in `COSTS`."""
    max: float | None = None
    """The most in the cost's unit; or None, and `max_ratio` says it."""
    max_ratio: float | None = None
    """The most as a share of what the largest architecture of the space costs."""
    device: str = "cpu-1t"
    """Where latency is meant; without a meaning for exact costs."""
    quantile: float = 0.9
    """The probability with which a predicted latency has to keep the limit."""
    section: str = field(default="budget", metadata={"hashed": False})
    """The key of the budget, for messages."""

    def __post_init__(self) -> None:
        key = f"{self.section}.{self.cost}"
        if self.cost not in COSTS:
            hint = did_you_mean(self.cost, COSTS)
            raise ConfigError(key, problem="is no cost", allowed=", ".join(COSTS), hint=hint)
        if (self.max is None) == (self.max_ratio is None):
            problem = "has neither max nor max_ratio" if self.max is None else "has both max and max_ratio"
            raise ConfigError(key, problem=problem, hint="Give one of them, and set the other to null")
        if self.max is not None:
            _check_max(key, self.max, self.cost)
        elif not 0 < _number(f"{key}.max_ratio", self.max_ratio) < 1:
            raise ConfigError(
                f"{key}.max_ratio", self.max_ratio, allowed="0 < ratio < 1, of the largest; null for no limit"
            )
        check_device(f"{key}.device", self.device)
        if not 0.5 <= _number(f"{key}.quantile", self.quantile) < 1:
            raise ConfigError(f"{key}.quantile", self.quantile, allowed="0.5 <= quantile < 1")


@dataclass(frozen=True, kw_only=True)
class ResolvedLimit:
    """A limit in the unit of its cost, and how it reads the intervals of predictions."""

    cost: str
    max: float
    max_ratio: float | None = None
    """The share of the largest architecture that `max` was computed from; None if it was given."""
    device: str = "cpu-1t"
    quantile: float = 0.9
    coverage: float = 0.9
    """Share of the truth that lies between `lower` and `upper` of an `Estimate`."""
    section: str = "budget"
    """The key of the budget, for messages."""

    @property
    def key(self) -> str:
        """Where the user gave it."""
        return f"{self.section}.{self.cost}" + ("" if self.max_ratio is None else ".max_ratio")

    @property
    def given(self) -> float:
        """What the user gave: the ratio or the maximum."""
        return self.max if self.max_ratio is None else self.max_ratio

    def upper(self, estimate: Estimate) -> float:
        """What the cost stays below with the probability `quantile`.

        The intervals are multiplicative, so other quantiles than their own are taken from a log-normal error.
        """
        return estimate.mean * (estimate.upper / estimate.mean) ** self._stretch

    def lower(self, estimate: Estimate) -> float:
        """What the cost stays above with the probability `quantile`."""
        return estimate.mean * (estimate.lower / estimate.mean) ** self._stretch

    def ratio_of(self, value: float) -> float | None:
        """A value as a share of what the largest architecture costs, where the limit was given as one."""
        return None if self.max_ratio is None else value * self.max_ratio / self.max

    def raised_to(self, value: float) -> str:
        """What to give instead so that `value` keeps the limit, a ratio where one was given; it is rounded upward."""
        ratio = self.ratio_of(value * _ROUNDED_UP)
        return f"{value * _ROUNDED_UP if ratio is None else ratio:.4g}"

    @property
    def _stretch(self) -> float:
        normal = NormalDist()
        return normal.inv_cdf(self.quantile) / normal.inv_cdf((1 + self.coverage) / 2)

    def __str__(self) -> str:
        bound = f" ({_percent(self.quantile)} bound, {self.device})" if self.cost == LATENCY else ""
        return f"{self.cost} <= {shown_cost(self.cost, self.max)}{bound}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        form: dict[str, Any] = {"cost": self.cost, "max": self.max, "max_ratio": self.max_ratio}
        return form | ({"device": self.device, "quantile": self.quantile} if self.cost == LATENCY else {})


def parse_budget(value: Any, key: str = "budget") -> tuple[Limit, ...]:
    """Reads a budget.

    Args:
        value: `{latency_ms: 15, params_m: 8}`, where an entry may be a mapping too (`{max_ratio: 0.6}`,
            `{max: 15, quantile: 0.9}`) or null for no limit; or a list of such mappings that name their `cost`. A
            tuple of limits, which was read before, is returned as it is.
        key: where the user gave it, for messages.

    Raises:
        ConfigError: the first mistake, with its key.
    """
    if isinstance(value, tuple) and value and all(isinstance(entry, Limit) for entry in value):
        return value
    if isinstance(value, Mapping):
        entries = [(str(cost), entry) for cost, entry in value.items() if entry is not None]
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        entries = [_named(f"{key}[{index}]", entry) for index, entry in enumerate(value)]
    else:
        raise ConfigError(key, value, "is neither a mapping nor a list", hint=_LIKE)
    if not entries:
        raise ConfigError(key, problem="is empty", allowed=", ".join(COSTS), hint=_LIKE)
    seen: set[str] = set()
    for cost, _ in entries:
        if cost in seen:
            raise ConfigError(f"{key}.{cost}", problem="is given twice")
        seen.add(cost)
    return tuple(_limit(cost, entry, key) for cost, entry in entries)


def parse_budgets(value: Any, key: str = "budgets") -> dict[str, tuple[Limit, ...]]:
    """Reads several budgets, `{fast: {latency_ms: 8}, small: {params_m: 2}}`, each as `parse_budget` does.

    Args:
        value: a budget for each name.
        key: where the user gave them; the limits of `fast` are named `budgets.fast.latency_ms`.

    Raises:
        ConfigError: the first mistake, with its key.
    """
    if not isinstance(value, Mapping) or not value:
        problem = "names no budget" if isinstance(value, Mapping) else "is no mapping from names to budgets"
        raise ConfigError(key, value, problem, hint="For example {fast: {latency_ms: 15}, small: {params_m: 8}}")
    return {str(name): parse_budget(budget, f"{key}.{name}") for name, budget in value.items()}


def resolve(
    limits: Sequence[Limit], largest: Mapping[str, float], *, coverage: float = 0.9
) -> tuple[ResolvedLimit, ...]:
    """Turns ratios into values.

    Args:
        limits: the budget.
        largest: what the largest architecture of the space costs, for each cost that has a ratio.
        coverage: coverage of the intervals that the limits will be held against.
    """
    return tuple(
        ResolvedLimit(
            cost=limit.cost,
            max=limit.max if limit.max is not None else float(limit.max_ratio or 0) * largest[limit.cost],
            max_ratio=limit.max_ratio,
            device=limit.device,
            quantile=limit.quantile,
            coverage=coverage,
            section=limit.section,
        )
        for limit in limits
    )


def check_feasible(limits: Sequence[ResolvedLimit], minima: Mapping[str, tuple[float, str]], space_name: str) -> None:
    """Refuses at once a budget that no architecture of the space can keep.

    Args:
        limits: the budget.
        minima: for each cost the least that an architecture of the space can take, for latency its lower bound
            (`ResolvedLimit.lower`), and what a reader should know about where the space begins (`space_begins`).
        space_name: the name of the space.

    Raises:
        ConfigError: the first limit that is below its minimum.
    """
    for limit in limits:
        least, begins = minima[limit.cost]
        if least <= limit.max:
            continue
        bound = f" (lower {_percent(limit.quantile)} bound) on {limit.device}" if limit.cost == LATENCY else ""
        of = "" if limit.max_ratio is None else f", that is {shown_cost(limit.cost, limit.max)}"
        ratio = limit.ratio_of(least)
        unit = _about_unit(limit, least)
        raise ConfigError(
            limit.key,
            limit.given,
            f"cannot be met{of}: the cheapest architecture of space {space_name!r} takes at least "
            f"{shown_cost(limit.cost, least)}{bound}{'' if ratio is None else f', {ratio:.3g} of the largest'}",
            hint=f"{unit}Raise the budget, or widen the space ({begins})",
        )


def _about_unit(limit: ResolvedLimit, least: float) -> str:
    """For a limit so far below everything that it may have been meant in another unit: a sentence with the unit."""
    if limit.max_ratio is not None or limit.max * _MISTAKEN > least:
        return ""
    seconds = f": if {limit.max:g} seconds are meant, give {1000 * limit.max:g}" if limit.cost == LATENCY else ""
    return f"The unit is {UNITS[limit.cost]}{seconds}. "


def space_begins(space: SearchSpace) -> str:
    """Where the space begins, for the hint of `check_feasible`: least depth and dimension of both sides."""
    sides = {"decoder": space.decoder, "encoder": space.encoder}
    starts = [(f"{name}.{gene}", getattr(side, field)[0]) for name, side in sides.items()
              for gene, field in (("layers", "depth"), ("dim", "dim"))]  # fmt: skip
    return ", ".join(f"{name} starts at {value}" for name, value in starts)


def used_share(costs: Mapping[str, Estimate], limits: Sequence[ResolvedLimit]) -> float:
    """Share of the budget that an architecture uses, of the limit that binds most; above 1 it breaks the budget."""
    return max(limit.upper(costs[limit.cost]) / limit.max for limit in limits)


def _named(key: str, entry: Any) -> tuple[str, Any]:
    if not isinstance(entry, Mapping):
        raise ConfigError(key, entry, "is not a mapping", hint="For example {cost: latency_ms, max: 15}")
    if entry.get("cost") is None:
        raise ConfigError(f"{key}.cost", problem="is missing", allowed=", ".join(COSTS))
    return str(entry["cost"]), {name: value for name, value in entry.items() if name != "cost"}


def _limit(cost: str, entry: Any, section: str) -> Limit:
    if not isinstance(entry, Mapping):
        return Limit(cost=cost, max=entry, section=section)
    allowed = ("max", "max_ratio", "device", "quantile")
    given = {str(name): value for name, value in entry.items() if value is not None}
    for name in given:
        key = f"{section}.{cost}.{name}"
        if name not in allowed:
            hint = did_you_mean(name, allowed)
            raise ConfigError(key, problem="is not known", allowed=", ".join(allowed), hint=hint)
        if name in ("device", "quantile") and cost in COSTS and cost != LATENCY:
            raise ConfigError(key, given[name], f"has no meaning: {cost} is computed exactly", hint="Leave it out")
    return Limit(cost=cost, section=section, **given)


def _check_max(key: str, value: Any, cost: str) -> None:
    if _number(key, value) <= 0:
        raise ConfigError(key, value, allowed="> 0")
    if value > _SUSPICIOUS:
        power, _, singles = UNITS[cost].partition(" ")
        meant = ""
        if power in _POWERS:  # it was meant in single FLOPs, parameters or bytes
            meant = f": {value:,.0f} {singles} are {value / _POWERS[power]:.4g}"
        raise ConfigError(key, value, "is beyond every model", hint=f"The unit is {UNITS[cost]}{meant}")


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(key, value, "is not a number", hint=_LIKE)
    return value


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
