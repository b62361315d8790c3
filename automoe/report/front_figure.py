"""The front: loss against latency, and against every other cost that has a budget and is known for all points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from automoe.report.canvas import ACCENT, FAINT, INK, MUTED, PAPER, draw
from automoe.report.data import BudgetLine, FrontPoint, ReportData
from automoe.report.formats import significant

_AXES = {
    "latency_ms": "latency, ms per sentence",
    "flops_g": "FLOPs of one sentence pair, 1e9",
    "params_m": "parameters, 1e6",
}
_UNITS = {"latency_ms": "ms", "flops_g": "GFLOPs", "params_m": "M parameters"}
_CHARACTER, _MARGIN = 7.3, 60
"""Estimates, in units: the width of a letter, and what the axis labels take of a panel's width."""


def drawn_costs(budgets: Sequence[BudgetLine]) -> list[str]:
    """The costs that have a panel: latency always, others if they have a budget."""
    return ["latency_ms", *(c for c in _AXES if c != "latency_ms" and any(b.cost == c for b in budgets))]


def draw_front(data: ReportData, *, name: str, width: int) -> str:
    """The front as SVG, one panel a cost, under one another."""
    costs = drawn_costs(data.budgets)

    def paint(figure: Any) -> None:
        panels = figure.subplots(len(costs), 1, squeeze=False)[:, 0]
        for axes, cost in zip(panels, costs, strict=True):
            _panel(axes, cost, data, width)
        figure.legend(handles=_legend(data.points), loc="outside lower center", ncols=4 if width > 500 else 2)

    height = 60 + (360 if width > 500 else 310) * len(costs)
    return draw(paint, name=name, width=width, height=height)


def staircase(points: Sequence[FrontPoint], cost: str = "latency_ms") -> list[tuple[float, float]]:
    """The corners of the front from cheap to expensive: (cost, lowest loss that this cost buys)."""
    corners: list[tuple[float, float]] = []
    for value, loss in sorted((getattr(p, cost), p.loss) for p in points if p.on_front):
        if not corners or loss < corners[-1][1]:
            corners.append((value, loss))
    return corners


def _panel(axes: Any, cost: str, data: ReportData, width: int) -> None:
    latency = cost == "latency_ms"
    axes.set_xlabel(_AXES[cost])
    axes.set_ylabel("validation loss, nats per token")
    axes.margins(x=0.05, y=0.12)
    for on_front, colour, size in ((False, MUTED, 16), (True, ACCENT, 30)):
        group = [point for point in data.points if point.on_front == on_front]
        losses = [point.loss for point in group]
        strength = 1.0 if on_front else 0.55
        if latency:
            lower, upper = [p.lower_ms for p in group], [p.upper_ms for p in group]
            axes.hlines(losses, lower, upper, colors=colour, linewidth=1, alpha=strength * 0.5, zorder=2)
        axes.scatter(
            [getattr(p, cost) for p in group], losses, s=size, facecolors=PAPER, edgecolors=colour,
            linewidths=1.2, alpha=strength, zorder=3 + on_front,
        )  # fmt: skip
        known = [(p.measured_ms, p.loss) for p in group if p.measured_ms is not None]
        if latency and known:
            axes.scatter(*zip(*known, strict=True), s=size, color=colour, linewidths=0, alpha=strength, zorder=5)
    limits = [budget for budget in data.budgets if budget.cost == cost]
    axes.autoscale_view()
    left, right = axes.get_xlim()
    right = max([right, *(budget.max + 0.05 * (budget.max - left) for budget in limits)])
    left = min([left, *(budget.max - 0.05 * (right - budget.max) for budget in limits)])
    axes.set_xlim(left, right)
    corners = staircase(data.points, cost)
    if corners:
        xs, ys = zip(*[*corners, (right, corners[-1][1])], strict=True)
        axes.step(xs, ys, where="post", color=ACCENT, linewidth=1.6, zorder=2.5)
    for budget in limits:
        _budget_line(axes, budget, (left, right), width)
    point = data.chosen_point()
    if point is not None:
        _mark_chosen(axes, cost, point, (left, right), width)


def _budget_line(axes: Any, budget: BudgetLine, ends: tuple[float, float], width: int) -> None:
    axes.axvspan(budget.max, ends[1], color=FAINT, alpha=0.35, linewidth=0, zorder=0)
    axes.axvline(budget.max, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    label = f"budget: {budget.max:.4g} {_UNITS[budget.cost]}"
    half = min(0.5, 0.5 * len(label) * _CHARACTER / (width - _MARGIN))
    middle = min(1 - half, max(half, (budget.max - ends[0]) / (ends[1] - ends[0])))  # all of it inside the panel
    axes.annotate(
        label, (middle, 1), xycoords="axes fraction", xytext=(0, 5), textcoords="offset points",
        ha="center", va="bottom",
    )  # fmt: skip


def _mark_chosen(axes: Any, cost: str, point: FrontPoint, ends: tuple[float, float], width: int) -> None:
    value: float = getattr(point, cost)
    if cost == "latency_ms" and point.measured_ms is not None:
        value = point.measured_ms
    axes.scatter([value], [point.loss], s=150, facecolors="none", edgecolors=INK, linewidths=1.6, zorder=6)
    label = f"chosen: {significant(value)} {_UNITS[cost]}, loss {point.loss:.3f}"
    room = (value - ends[0]) / (ends[1] - ends[0]) * (width - _MARGIN) - 15
    label = label if room > _CHARACTER * len(label) else "chosen"
    to_the_left = room > _CHARACTER * len(label)  # below and left of a front there is nothing else
    axes.annotate(
        label, (value, point.loss),
        xytext=(-10, -16) if to_the_left else (12, 12), textcoords="offset points", zorder=7,
        ha="right" if to_the_left else "left", va="top" if to_the_left else "bottom", fontweight="bold",
        bbox={"facecolor": PAPER, "alpha": 0.8, "linewidth": 0, "pad": 1.5},
    )  # fmt: skip


def _legend(points: Sequence[FrontPoint]) -> list[Any]:
    from matplotlib.lines import Line2D

    def dots(label: str, colour: str, face: str, line: str = "none") -> Any:
        return Line2D(
            [], [], color=colour, marker="o", markersize=5.5, markerfacecolor=face, markeredgecolor=colour,
            linestyle=line, linewidth=1, label=label,
        )  # fmt: skip

    handles = [
        Line2D([], [], color=ACCENT, linewidth=1.6, label="front"),
        dots("predicted, interval", ACCENT, PAPER, "-"),
        dots("not on the front", MUTED, PAPER, "-"),
    ]
    if any(point.measured_ms is not None for point in points):
        handles.insert(2, dots("measured", ACCENT, ACCENT))
    return handles
