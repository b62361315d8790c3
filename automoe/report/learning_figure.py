"""The learning curve: how the error of predictions falls with the rows that are learnt from."""

from __future__ import annotations

from typing import Any

from automoe.report.canvas import ACCENT, MUTED, PAPER, draw
from automoe.report.data import PredictorFit


def draw_learning(fit: PredictorFit, *, name: str, width: int) -> str:
    """The curve as SVG, with the deviation over draws of the rows; needs a fit that has one."""
    curve = fit.learning_curve

    def paint(figure: Any) -> None:
        from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

        axes = figure.subplots()
        rows, errors = [point.rows for point in curve], [point.error for point in curve]
        low, high = ([max(0, point.error + sign * point.spread) for point in curve] for sign in (-1, 1))
        axes.vlines(rows, low, high, colors=ACCENT, alpha=0.5, zorder=2)
        axes.plot(rows, errors, color=ACCENT, linewidth=1.8, zorder=3)
        axes.scatter(rows, errors, s=26, facecolors=PAPER, edgecolors=ACCENT, linewidths=1.4, zorder=4)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(rows))
        axes.xaxis.set_major_formatter(FixedFormatter([f"{row:,}" for row in rows]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(rows[0] / 1.15, rows[-1] * 1.15)
        axes.set_ylim(0, 1.08 * max(*high, fit.noise_percent or 0) or 1)
        if fit.noise_percent is not None:
            axes.axhline(fit.noise_percent, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.set(xlabel="architectures learnt from", ylabel="mean error, %")

    return draw(paint, name=name, width=width, height=260)
