"""How the hypervolume of the search grew over its evaluations, as a share of what it came to."""

from __future__ import annotations

from typing import Any

from automoe.report.canvas import ACCENT, draw
from automoe.report.data import SearchTrace


def draw_hypervolume(trace: SearchTrace, *, name: str, width: int) -> str:
    """The line as SVG; needs a trace that has shares."""
    shares = trace.shares

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        evaluated = range(1, len(shares) + 1)
        axes.step(evaluated, [100 * share for share in shares], where="post", color=ACCENT, linewidth=1.8, zorder=3)
        axes.set(xlabel="architectures evaluated", ylabel="hypervolume, % of the last", ylim=(0, 104))
        axes.set_xlim(0, len(shares) + 1)

    return draw(paint, name=name, width=width, height=240)
