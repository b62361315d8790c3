"""The sentences of the page: what was found, and how each figure is to be read. All are made from the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from automoe.report.data import Curve, PredictorFit, ReportData
from automoe.report.expert_use import layer_uses
from automoe.report.formats import counted, fixed, listed, percent, significant

_UNITS = {"latency_ms": "ms a sentence", "flops_g": "GFLOPs", "params_m": "M parameters", "memory_mb": "MB"}


def headline(data: ReportData) -> str:
    """What the search found, in one sentence."""
    row = data.chosen_row()
    size = None if row is None else row.params_total_m
    model = "a model" if size is None else f"a model of {significant(size)}\u00a0M parameters"
    costs = ["latency_ms", *(budget.cost for budget in data.budgets if budget.cost != "latency_ms")]
    if size is not None and "params_m" in costs:
        costs.remove("params_m")  # said already
    values = [(_cost(data, cost), _UNITS[cost]) for cost in dict.fromkeys(costs)]
    found = [f"{significant(value)}\u00a0{unit}" for value, unit in values if value is not None]
    if row is not None and row.bleu is not None:
        found.append(f"{fixed(row.bleu)}\u00a0BLEU")
    ending = f": {', '.join(found)}." if found else "."
    return f"{data.title}: {model} {_verdict(data)}{ending}"


def _verdict(data: ReportData) -> str:
    """Which budgets the model keeps or misses; neither is said of costs that are unknown."""
    if not data.budgets:
        return "for no budget"
    costs = [(budget, cost) for budget in data.budgets if (cost := _cost(data, budget.cost)) is not None]
    broken = [budget for budget, cost in costs if cost > budget.max]
    if broken:
        verb, budgets = "misses", broken
    elif costs:
        verb, budgets = "keeps", [budget for budget, _ in costs]
    else:
        verb, budgets = "was chosen for", list(data.budgets)
    return f"{verb} the budget{'s' * (len(budgets) > 1)} of {listed([budget.text for budget in budgets])}"


def front_reading(data: ReportData) -> str:
    """How to read the front, and where the chosen architecture stands."""
    if not data.points:
        return "The search evaluated no architecture."
    feasible = [point for point in data.points if point.feasible]
    on_front = sum(point.on_front for point in data.points)
    total = counted(len(data.points), "architecture")
    asked = "budget" if len(data.budgets) == 1 else "budgets"
    text = f"Lower left is better: of {total} that the search evaluated, {on_front} "
    text += f"{'is' if on_front == 1 else 'are'} on the front"
    text += (
        f" and {len(feasible):,} {'keeps' if len(feasible) == 1 else 'keep'} the {asked}." if data.budgets else "."
    )
    point = data.chosen_point()
    if point is None:
        return text
    rank = 1 + sum(other.loss < point.loss for other in feasible if other is not point)
    place = "the lowest" if rank == 1 else f"number {rank} by"
    among = f"of those that keep the {asked}" if data.budgets else "of all"
    text += f" The chosen one has {place} loss {among}, {point.loss:.3f} nats per token"
    if point.measured_ms is None:
        return text + f"; predicted are {significant(point.latency_ms)} ms, it was not measured."
    where = "inside" if point.lower_ms <= point.measured_ms <= point.upper_ms else "outside"
    ends = f"{significant(point.lower_ms)} to {significant(point.upper_ms)} ms"
    return text + f"; measured, it takes {significant(point.measured_ms)} ms, {where} the predicted {ends}."


def experts_reading(data: ReportData) -> str:
    """Whether the chosen model has experts, and whether test tokens reach them."""
    uses = list(layer_uses(data.chosen))
    sparse = [use for use in uses if use.has_experts]
    if not sparse:
        return "The search chose no expert layer: each feed-forward layer is dense."
    counts = [use for use in sparse if use.shares is not None]
    have = f"{len(sparse)} of {counted(len(uses), 'layer')} {'has' if len(sparse) == 1 else 'have'} experts"
    if not counts:
        return f"{have}; which of them test tokens reach was not counted."
    reached, number = sum(use.reached for use in counts), sum(use.layer.num_experts for use in counts)
    if all(use.reached < 2 for use in counts):
        one = "reach a single one" if len(sparse) == 1 else "reach a single one in each of these layers"
        return f"{have}, but test tokens {one}: in effect, the search chose no expert layer."
    return f"{have}; test tokens reach {'all' if reached == number else f'{reached} of the'} {number} experts."


def predictor_reading(fit: PredictorFit) -> str:
    """How far predictions lie from measurements, and how many intervals hold."""
    if not fit.measured_ms:
        return "No latency was measured, so there is no fit to show."
    rows = list(zip(fit.measured_ms, fit.predicted_ms, fit.lower_ms, fit.upper_ms, strict=True))
    error = median(abs(predicted - measured) / measured for measured, predicted, _, _ in rows)
    held = sum(lower <= measured <= upper for measured, _, lower, upper in rows)
    return (
        f"The nearer to the dashed line the better: predicted from the others by {fit.name}, half of the "
        f"{counted(len(rows), 'architecture')} lie within {significant(100 * error, 2)} % of what was measured; "
        f"{held} of {len(rows)} intervals ({percent(held / len(rows))}) hold the measured value."
    )


def curves_reading(curves: Sequence[Curve]) -> str:
    """Where the validation losses end."""
    if not curves:
        return "No training curve was recorded."
    text = "Lower is better; training loss is grey."
    for panel in dict.fromkeys(curve.panel for curve in curves):
        valid = [curve for curve in curves if curve.panel == panel and curve.kind == "valid"]
        ends = [f"{last:.3f} ({curve.name})" for curve in valid if (last := _last(curve)) is not None]
        if ends:
            text += f" At the end of the {panel}, validation stands at {listed(ends)} nats per token."
    return text


def architecture_reading() -> str:
    """How to read the drawing of the layers."""
    return (
        "A box is an expert, as wide as its hidden layer and filled as high as the share of test tokens that it "
        "processes, so the filled area is the work done; dashed is what the largest sub-transformer has beyond it."
    )


def architecture_text(data: ReportData) -> str:
    """The drawing of the layers in words, for those who cannot see it."""
    layers = []
    for use in layer_uses(data.chosen):
        widths = use.layer.expert_widths
        shares = [None] * len(widths) if use.shares is None else use.shares
        experts = [
            str(width) + ("" if share is None else f" ({percent(share)} of the tokens)")
            for width, share in zip(widths, shares, strict=True)
        ]
        heads = counted(use.layer.heads, "head")
        what = f"experts of width {', '.join(experts)}" if use.has_experts else f"dense, width {widths[0]}"
        layers.append(f"{use.name}: {heads}, {what}")
    return f"The chosen architecture. {'; '.join(layers)}."


def _cost(data: ReportData, cost: str) -> float | None:
    """What the chosen model costs: as the models' table has it, else as the search knew it."""
    row, point = data.chosen_row(), data.chosen_point()
    in_row = {"latency_ms": "latency_ms", "flops_g": "flops_g", "params_m": "params_total_m"}.get(cost)
    value = None if row is None or in_row is None else getattr(row, in_row)
    if value is not None or point is None:
        return value
    if cost == "latency_ms" and point.measured_ms is not None:
        return point.measured_ms
    return getattr(point, cost, None)


def _last(curve: Curve) -> float | None:
    return next((value for value in reversed(curve.values) if math.isfinite(value)), None)
