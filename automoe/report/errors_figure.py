"""The error of every regressor that was tried, as bars, beside the noise of the table."""

from __future__ import annotations

from typing import Any

from automoe.report.canvas import ACCENT, INK, MUTED, draw
from automoe.report.data import PredictorFit
from automoe.report.formats import shortened, significant

_BAR = 26


def draw_errors(fit: PredictorFit, *, name: str, width: int) -> str:
    """The bars as SVG, the least error on top; needs a fit that has errors."""
    kinds = sorted(fit.errors_percent, key=lambda kind: fit.errors_percent[kind])
    errors = [fit.errors_percent[kind] for kind in kinds]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        colours = [ACCENT if kind in (fit.name, fit.chosen) else MUTED for kind in kinds]
        places = range(len(kinds))
        axes.barh(places, errors, height=0.62, color=colours, alpha=0.75, zorder=2)
        for place, error in zip(places, errors, strict=True):
            axes.annotate(
                f"{significant(error)} %", (error, place), xytext=(5, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(places, [shortened(kind, 22) for kind in kinds])
        axes.invert_yaxis()
        axes.grid(False, axis="y")
        axes.set_xlim(0, max(1.22 * max(errors), 1.05 * (fit.noise_percent or 0)) or 1)
        if fit.noise_percent is not None:
            axes.axvline(fit.noise_percent, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=3)
        axes.set_xlabel("mean error, %")

    return draw(paint, name=name, width=width, height=64 + _BAR * len(kinds))
