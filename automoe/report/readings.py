"""The sentences of the page: what was found, and how each figure is to be read. All are made from the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from automoe.report.data import (
    BudgetLine,
    Curve,
    ExecutedFit,
    FrontPoint,
    PredictorFit,
    QualityFit,
    ReportData,
    SearchTrace,
)
from automoe.report.expert_use import layer_uses
from automoe.report.formats import beside, counted, fixed, listed, percent, significant
from automoe.report.predictor_figure import MOST_DRAWN

UNITS = {"latency_ms": "ms a sentence", "flops_g": "GFLOPs", "params_m": "M parameters", "memory_mb": "MB"}
"""Of each cost that can have a budget, as it follows a number."""
_OBJECTIVES = {
    "loss": "loss",
    "bleu": "BLEU",
    "latency_ms": "latency",
    "flops_g": "FLOPs",
    "params_m": "parameters",
    "memory_mb": "memory",
}
"""How objectives read in a sentence."""


def headline(data: ReportData) -> str:
    """What the search found, in one sentence."""
    row = data.chosen_row()
    size = None if row is None else row.params_total_m
    model = "a model" if size is None else f"a model of {significant(size)}\u00a0M parameters"
    costs = {} if row is None or row.latency_ms is None else {"latency_ms": significant(row.latency_ms)}
    costs |= {budget.cost: beside(budget.value, budget.max) for budget in data.budgets}
    if size is not None and all(budget.kept for budget in data.budgets if budget.cost == "params_m"):
        costs.pop("params_m", None)  # said already
    found = [f"{value}\u00a0{UNITS[cost]}" for cost, value in costs.items()]
    if row is not None and row.bleu is not None:
        found.append(f"{fixed(row.bleu)}\u00a0BLEU")
    ending = f": {', '.join(found)}." if found else "."
    return f"{data.title}: {model} {_verdict(data.budgets)}{ending}"


def _verdict(budgets: Sequence[BudgetLine]) -> str:
    """Which budgets the bundle breaks, and which it keeps."""
    if not budgets:
        return "for no budget"
    groups = {
        verb: [line for line in budgets if line.kept == kept] for verb, kept in (("breaks", False), ("keeps", True))
    }
    return " but ".join(f"{verb} {_budgets(lines)}" for verb, lines in groups.items() if lines)


def _budgets(lines: Sequence[BudgetLine]) -> str:
    return f"the budget{'s' * (len(lines) > 1)} of {listed([line.text for line in lines])}"


def front_reading(data: ReportData) -> str:
    """How to read the front, where the chosen architecture stands, and which budgets its bundle breaks."""
    if not data.points:
        return " ".join(["The search evaluated no architecture.", *_broken(data.budgets)])
    on_front = sum(point.on_front for point in data.points)
    text = f"Lower left is better: of {counted(len(data.points), 'architecture')} that the search evaluated, "
    text += _how_many(on_front, "is on the front", "are on the front")
    if data.budgets:
        keeping, asked = sum(point.feasible for point in data.points), _asked(data)
        text += f" and {_how_many(keeping, f'keeps {asked}', f'keep {asked}')}"
    point = data.chosen_point()
    sentences = [] if point is None else [f"{_place(data, point)}; {_latency(point)}."]
    return " ".join([f"{text}.", *sentences, *_broken(data.budgets)])


def _place(data: ReportData, point: FrontPoint) -> str:
    """Where the chosen one stands by loss, among those that it was chosen from."""
    loss = f"{point.loss:.3f} nats per token"
    if data.budgets and not point.feasible:
        return f"The chosen one, of loss {loss}, is not among those that keep {_asked(data)}"
    rivals = [other for other in data.points if other is not point and (other.feasible or not data.budgets)]
    if not rivals:
        that_keeps = f" that keeps {_asked(data)}" if data.budgets else ""
        return f"The chosen one is the only one{that_keeps}; its loss is {loss}"
    among = f"those that keep {_asked(data)}" if data.budgets else "all"
    lower = sum(other.loss < point.loss for other in rivals)
    if lower == 0:
        return f"The chosen one has the lowest loss of {among}, {loss}"
    return f"The chosen one has a loss of {loss}; of {among}, {_how_many(lower, 'has', 'have')} a lower one"


def _latency(point: FrontPoint) -> str:
    """What was predicted for the chosen one, and what was measured when it was chosen."""
    if point.measured_ms is None:
        return f"{significant(point.latency_ms)} ms are predicted for it, it was not measured"
    where = "inside" if point.lower_ms <= point.measured_ms <= point.upper_ms else "outside"
    ends = f"{significant(point.lower_ms)} to {significant(point.upper_ms)} ms"
    return f"measured, it takes {significant(point.measured_ms)} ms, {where} the predicted {ends}"


def _broken(budgets: Sequence[BudgetLine]) -> list[str]:
    """A sentence for each budget that the bundle breaks in the end."""
    return [
        f"The bundle that was made of it breaks the budget of {line.text}: "
        f"it takes {beside(line.value, line.max)} {UNITS[line.cost]}."
        for line in budgets
        if not line.kept
    ]


def _asked(data: ReportData) -> str:
    return "the budget" if len(data.budgets) == 1 else "every budget"


def _how_many(number: int, one: str, many: str) -> str:
    """ "none is on the front", "1 is on the front", "3 are on the front"."""
    return f"{number or 'none'} {one}" if number < 2 else f"{number:,} {many}"


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
    some = f" Drawn are {MOST_DRAWN} of them, evenly over the measured values." if len(rows) > MOST_DRAWN else ""
    return (
        f"The nearer to the dashed line the better: predicted from the others by {fit.name}, half of the "
        f"{counted(len(rows), 'architecture')} lie within {significant(100 * error, 2)} % of what was measured; "
        f"{held} of {len(rows)} intervals ({percent(held / len(rows))}) hold the measured value.{some}"
    )


def errors_reading(fit: PredictorFit) -> str:
    """Which regressor predicts best, by how much better than the others, and how near to the noise of the table."""
    ordered = sorted(fit.errors_percent, key=lambda kind: fit.errors_percent[kind])
    shown = [f"{kind} {significant(fit.errors_percent[kind])} %" for kind in (ordered[0], ordered[-1])]
    text = "Shorter is better: the mean error of rows that a regressor had not seen, all on the same folds, from "
    text += " to ".join(dict.fromkeys(shown)) + "."
    if fit.chosen and fit.chosen != fit.name:
        text += f" {fit.name} chose {fit.chosen}; its own bar is of the choice without the rows that it is judged by."
    return text + _noise(fit)


def learning_reading(fit: PredictorFit) -> str:
    """What the first and the last part of the table teach."""
    first, last = fit.learning_curve[0], fit.learning_curve[-1]
    text = (
        f"Lower is better: learnt from {counted(first.rows, 'row')} drawn at random, the mean error on the others is "
        f"{significant(first.error)} %; from {last.rows:,}, {significant(last.error)} %. A line is as long as "
        "the draws scatter."
    )
    return text + _noise(fit)


def _noise(fit: PredictorFit) -> str:
    """How well the table itself is known."""
    if fit.noise_percent is None:
        return ""
    return (
        f" Dashed is the noise of the table: half of its rows are themselves known to within "
        f"{significant(fit.noise_percent, 2)} % or better; a perfect predictor's mean error would be half of that."
    )


def search_reading(trace: SearchTrace) -> str:
    """How fast the search came to its front, and whether it was still getting better in the end."""
    number, shares = len(trace.hypervolume), trace.shares
    if not number:
        return "The search evaluated no architecture."
    objectives = listed([_OBJECTIVES.get(name, name) for name in trace.objectives])
    if not shares:
        return f"What the search evaluated ({counted(number, 'architecture')}) spans no volume of {objectives}."
    half, late = shares[(number - 1) // 2], 1 - shares[max(0, math.ceil(0.75 * number) - 1)]
    return (
        f"Higher is better: the volume of {objectives} that what was evaluated so far dominates, up to the worst of "
        f"each, as a share of what it came to. The first half of the {counted(number, 'evaluation')} brought "
        f"{percent(half)}; the last quarter added {percent(late)}."
    )


def executed_reading(fit: ExecutedFit | None) -> str:
    """How much the analytic FLOPs are off where experts are unequal, and what learning the loads makes of it."""
    if fit is None:
        return ""
    return (
        f"What experts execute depends on where trained routers send tokens: at uniform load their FLOPs are off by "
        f"{significant(fit.uniform_percent, 2)} %, learnt from the loads of {counted(fit.rows, 'architecture')} by "
        f"{significant(fit.error_percent, 2)} % (mean over architectures that were not seen)."
    )


def quality_reading(fit: QualityFit | None) -> str:
    """How far the guesses that chose among proposals are to be trusted; empty where nothing was guessed."""
    if fit is None:
        return ""
    what = _OBJECTIVES.get(fit.quality, fit.quality)
    text = (
        f"The regressor {fit.name} guesses the {what} of proposals, to choose which are evaluated; its guesses stand "
        f"nowhere else. Cross-validated on the {counted(fit.rows, 'architecture')} that were evaluated, they have a "
        f"rank correlation (Spearman) of {fixed(fit.spearman, 2)} with the truth"
    )
    if fit.spearman_within_depth is None:
        return f"{text}."
    return f"{text}, and of {fixed(fit.spearman_within_depth, 2)} among those of equal decoder depth."


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


def _last(curve: Curve) -> float | None:
    return next((value for value in reversed(curve.values) if math.isfinite(value)), None)
