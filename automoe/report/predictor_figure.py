"""Predicted against measured latency, with the interval of every prediction."""

from __future__ import annotations

from typing import Any

from automoe.report.canvas import ACCENT, INK, PAPER, draw
from automoe.report.data import PredictorFit


def draw_predictor(fit: PredictorFit, *, name: str, width: int) -> str:
    """The fit as SVG; needs at least one measured architecture."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        values = [*fit.measured_ms, *fit.lower_ms, *fit.upper_ms]
        low, high = min(values), max(values)
        room = 0.05 * (high - low or abs(high) or 1)
        ends = (low - room, high + room)
        axes.plot(ends, ends, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.vlines(fit.measured_ms, fit.lower_ms, fit.upper_ms, colors=ACCENT, linewidth=1.2, alpha=0.5, zorder=2)
        axes.scatter(
            fit.measured_ms, fit.predicted_ms, s=22, facecolors=PAPER, edgecolors=ACCENT, linewidths=1.2, zorder=3
        )
        axes.set(xlim=ends, ylim=ends, xlabel="measured, ms per sentence", ylabel="predicted, ms per sentence")
        axes.annotate("predicted = measured", (0.03, 0.97), xycoords="axes fraction", va="top")

    return draw(paint, name=name, width=width, height=400 if width > 500 else 330)
