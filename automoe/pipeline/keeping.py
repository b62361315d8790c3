"""Whether a bundle keeps its budget, and what would where it does not.

Exact costs are computed. Latency is measured once, and the median of that session decides; only where it is above the
limit, the bundle is measured in two more sessions, and the median of the three decides: a machine that was disturbed
for a moment refuses nothing. A bundle that was above the limit in any session before is measured three times at once.

What a refusal recommends is an expectation: that what is chosen instead takes as much more than was predicted, or
measured with inherited weights, as this bundle did.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from automoe.errors import ConfigError
from automoe.files import read_json
from automoe.latency import Measurement
from automoe.pipeline.files import PREDICTOR_FILE, SELECTION
from automoe.pipeline.stage import Inputs
from automoe.search import ARCHIVE, LATENCY, Estimate, Limit, Record, ResolvedLimit, read_archive, shown_cost
from automoe.search.record import quality_of
from automoe.search.select import below_margin
from automoe.search.selection import costs_of

_SEVERAL = "budgets"
"""The section of several budgets; the limits of one lie below its name."""
SESSIONS = 3
"""Sessions whose median decides where one alone would refuse."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A limit, and what the bundle takes."""

    limit: ResolvedLimit
    value: float
    """Exact, or the median of the sessions."""
    sessions: tuple[float, ...] = ()
    """Of each session the median latency in ms; empty for exact costs."""

    @property
    def kept(self) -> bool:
        """Whether the bundle keeps the limit."""
        return self.value <= self.limit.max

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "cost": self.limit.cost,
            "max": self.limit.max,
            "max_ratio": self.limit.max_ratio,
            "value": self.value,
            "kept": self.kept,
            "sessions": list(self.sessions),
        }


class BudgetBroken(ConfigError):
    """A bundle that breaks its budget: it is made and measured, and refused."""

    def __init__(self, held: Sequence[Held], digest: str, hint: str) -> None:
        worst = max(held, key=lambda each: each.value / each.limit.max)
        self.digest = digest
        """Of its architecture."""
        self.lines = [each.to_dict() for each in held]
        """Every limit of the budget, held against it."""
        limit, cost = worst.limit, worst.limit.cost
        sessions = ", ".join(f"{value:.4g}" for value in worst.sessions)
        measured = f", the median of {len(worst.sessions)} measurements ({sessions})" if worst.sessions else ""
        super().__init__(
            limit.key,
            f"{limit.given:.6g}",
            f"is broken by the bundle of {digest}, which takes {shown_cost(cost, worst.value)}{measured}, where "
            f"{shown_cost(cost, limit.max)} are allowed",
            hint=hint,
        )


def limits_of(inputs: Inputs, section: str) -> tuple[ResolvedLimit, ...]:
    """The budget that the finished stage `select` applied.

    Args:
        inputs: `select` and `predictor`.
        section: where the user gave it, for messages.
    """
    coverage = read_json(inputs["predictor"] / PREDICTOR_FILE)["coverage"]
    budget = read_json(inputs["select"] / SELECTION)["budget"]
    return tuple(ResolvedLimit(**limit, coverage=coverage, section=section) for limit in budget)


def most_latency(limits: Sequence[ResolvedLimit]) -> float:
    """The limit on latency in ms; infinite if there is none."""
    return min((limit.max for limit in limits if limit.cost == LATENCY), default=math.inf)


def measured_sessions(
    limits: Sequence[ResolvedLimit], measure: Callable[[], Measurement], *, refused_before: bool
) -> list[Measurement]:
    """One session, or three where one alone does not show that the bundle keeps its latency.

    Args:
        limits: the budget.
        measure: measures the bundle in a session of its own.
        refused_before: whether an earlier session was above the limit already.
    """
    most = most_latency(limits)
    sessions = [measure()]
    above = sessions[0].latency_ms > most
    if above or (refused_before and most < math.inf):
        took = shown_cost(LATENCY, sessions[0].latency_ms)
        why = f"are above {shown_cost(LATENCY, most)}" if above else "are within the limit, but it was above before"
        print(f"{took} {why}: measured twice more", file=sys.stderr, flush=True)
        sessions += [measure() for _ in range(SESSIONS - 1)]
    return sessions


def held_against(
    limits: Sequence[ResolvedLimit], exact: Mapping[str, float], sessions: Sequence[Measurement]
) -> tuple[Held, ...]:
    """Every limit beside what the bundle takes.

    Args:
        limits: the budget.
        exact: its other costs, in the units of budgets.
        sessions: its latency, as it was measured.
    """
    latencies = tuple(row.latency_ms for row in sessions)
    return tuple(
        Held(limit=limit, value=median(latencies), sessions=latencies)
        if limit.cost == LATENCY
        else Held(limit=limit, value=exact[limit.cost])
        for limit in limits
    )


def refuse_broken(held: Sequence[Held], inputs: Inputs, quality: str) -> None:
    """Refuses a bundle that breaks its budget, and names what is nearest.

    Args:
        held: the budget, held against it.
        inputs: `select` and `search`.
        quality: what is best, out of `QUALITIES`.

    Raises:
        BudgetBroken: a limit is broken.
    """
    broken = [each for each in held if not each.kept]
    if not broken:
        return
    selection = read_json(inputs["select"] / SELECTION)
    raised = {each.limit.cost: each.limit.raised_to(each.value) for each in broken}
    raise BudgetBroken(
        held,
        selection["digest"],
        f"Raise {_raised([each.limit for each in held], raised)} or more for this model"
        f"{_nearest(held, inputs, selection, quality)}. Was the machine disturbed? The same command measures it "
        "again, and trains nothing anew",
    )


def _raised(limits: Sequence[ResolvedLimit], raised: Mapping[str, str]) -> str:
    """What to give instead, as it can be typed: keys for `budget`, of several budgets the whole one of this name."""
    name = limits[0].section.removeprefix(f"{_SEVERAL}.")
    if name == limits[0].section:
        return " and ".join(f"{limit.key} to {raised[limit.cost]}" for limit in limits if limit.cost in raised)
    lines = ", ".join(f"{limit.cost}: {_setting(limit, raised.get(limit.cost))}" for limit in limits)
    return f"it to '{_SEVERAL}={{{name}: {{{lines}}}}}'"


def _setting(limit: ResolvedLimit, value: str | None) -> str:
    """A limit as `budgets` takes it, with another value if one is given."""
    given = f"{limit.given:.12g}" if value is None else value
    fields = {"max" if limit.max_ratio is None else "max_ratio": given}
    if limit.cost == LATENCY and limit.device != Limit.device:
        fields["device"] = limit.device
    if limit.cost == LATENCY and limit.quantile != Limit.quantile:
        fields["quantile"] = f"{limit.quantile:g}"
    if list(fields) == ["max"]:
        return given
    return f"{{{', '.join(f'{name}: {field}' for name, field in fields.items())}}}"


def _nearest(held: Sequence[Held], inputs: Inputs, selection: Mapping[str, Any], quality: str) -> str:
    """The best of what was evaluated that should keep the budget, and how it is chosen, in words.

    Only latency can be broken once the choice was made: exact costs of the bundle are those of the choice.
    """
    taken = next(each.value for each in held if each.limit.cost == LATENCY)
    slower = taken / selection["costs"][LATENCY][0]
    margin = math.ceil(slower * 100) / 100
    limits = below_margin([each.limit for each in held], margin)
    measured = {digest: Estimate(*values) for digest, values in selection["measured"].items()}
    refitted = {digest: Estimate(*values) for digest, values in selection.get("refitted", {}).items()}
    keeping: list[tuple[Record, dict[str, float]]] = []
    for record in evaluated_records(inputs):
        record = replace(record, costs=costs_of(record, refitted))
        bounds = {limit.cost: _bound(limit, record, measured) for limit in limits}
        if all(bounds[limit.cost] <= limit.max for limit in limits):
            keeping.append((record, bounds | {LATENCY: bounds[LATENCY] * slower}))
    if not keeping:
        return "; none of those evaluated should keep it, so search longer (search.evaluations)"
    best, bounds = min(keeping, key=lambda found: (quality_of(found[0], quality), found[0].digest))
    worth = f"loss {best.loss:.4f}" if best.bleu is None else f"loss {best.loss:.4f}, {best.bleu:.2f} BLEU"
    takes = {cost: best.costs[cost].mean for cost in ("params_m", "flops_g")} | bounds
    shown = ", ".join(f"{'at most ' * (cost == LATENCY)}{shown_cost(cost, value)}" for cost, value in takes.items())
    return (
        f", or take another: select.latency_margin={margin:g} should choose {best.digest} ({worth}, {shown} "
        "expected), the best of those evaluated that should keep it"
    )


def evaluated_records(inputs: Inputs) -> Sequence[Record]:
    """All that was evaluated for the choice.

    Args:
        inputs: `select` and `search`.
    """
    continued = inputs["select"] / ARCHIVE
    return read_archive(continued if continued.exists() else inputs["search"] / ARCHIVE).records


def _bound(limit: ResolvedLimit, record: Record, measured: Mapping[str, Estimate]) -> float:
    """What was below the limit when the budget chose: of a measured latency the upper value as it is."""
    estimate = costs_of(record, measured)[limit.cost]
    return estimate.upper if limit.cost == LATENCY and record.digest in measured else limit.upper(estimate)
