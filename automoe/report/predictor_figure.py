"""Predicted against measured latency, with the interval of every prediction."""

from __future__ import annotations

from typing import Any

from automoe.report.canvas import ACCENT, INK, PAPER, draw
from automoe.report.data import PredictorFit

MOST_DRAWN = 300
"""Rows of a long table that are drawn: more would hide each other."""


def drawn_rows(fit: PredictorFit) -> list[int]:
    """The rows that are drawn: all of them, or an even choice over the measured values, both ends included."""
    ordered = sorted(range(len(fit.measured_ms)), key=lambda row: fit.measured_ms[row])
    if len(ordered) <= MOST_DRAWN:
        return ordered
    return [ordered[place * (len(ordered) - 1) // (MOST_DRAWN - 1)] for place in range(MOST_DRAWN)]


def draw_predictor(fit: PredictorFit, *, name: str, width: int) -> str:
    """The fit as SVG; needs at least one measured architecture."""
    rows = drawn_rows(fit)
    measured, predicted = [fit.measured_ms[row] for row in rows], [fit.predicted_ms[row] for row in rows]
    lower, upper = [fit.lower_ms[row] for row in rows], [fit.upper_ms[row] for row in rows]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        values = [*measured, *lower, *upper]
        low, high = min(values), max(values)
        room = 0.05 * (high - low or abs(high) or 1)
        ends = (low - room, high + room)
        axes.plot(ends, ends, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.vlines(
            measured, lower, upper, colors=ACCENT, linewidth=1.2, alpha=0.5 if len(rows) < 100 else 0.3, zorder=2
        )
        size = 22 if len(rows) < 100 else 10
        axes.scatter(measured, predicted, s=size, facecolors=PAPER, edgecolors=ACCENT, linewidths=1.2, zorder=3)
        axes.set(xlim=ends, ylim=ends, xlabel="measured, ms per sentence", ylabel="predicted, ms per sentence")
        axes.annotate("predicted = measured", (0.03, 0.97), xycoords="axes fraction", va="top")

    return draw(paint, name=name, width=width, height=400 if width > 500 else 330)
