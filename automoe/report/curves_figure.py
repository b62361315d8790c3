"""Training curves: one panel a training, faint for training loss and strong for validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from automoe.report.canvas import ACCENT, INK, MUTED, draw
from automoe.report.data import Curve
from automoe.report.formats import shortened

_PANELS = {"supernet": "Supernet", "distillation": "Distillation"}
_STROKES = [(ACCENT, "-"), (INK, "-"), (ACCENT, (0, (5, 2))), (INK, (0, (5, 2))), (ACCENT, (0, (1.5, 1.5))),
            (INK, (0, (1.5, 1.5)))]  # fmt: skip
"""Colour and dashes of the validation curves of a panel, one after the other."""


def draw_curves(curves: Sequence[Curve], *, name: str, width: int) -> str:
    """The curves as SVG, the panels side by side where there is room; needs at least one curve."""
    panels = [panel for panel in _PANELS if any(curve.panel == panel for curve in curves)]
    stacked = width < 500
    rows, columns = (len(panels), 1) if stacked else (1, len(panels))

    def paint(figure: Any) -> None:
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for index, (axes, panel) in enumerate(zip(grid, panels, strict=True)):
            _panel(axes, [curve for curve in curves if curve.panel == panel])
            axes.set_title(_PANELS[panel], fontsize=12.5, fontweight="bold")
            if stacked or index == 0:
                axes.set_ylabel("loss, nats per token")

    most = max(sum(curve.panel == panel for curve in curves) for panel in panels)
    height = (280 + 18 * ((most + 1) // 2)) * rows
    return draw(paint, name=name, width=width, height=height)


def _panel(axes: Any, curves: Sequence[Curve]) -> None:
    strokes = iter(_STROKES * (1 + len(curves) // len(_STROKES)))
    for curve in curves:
        label = shortened(curve.name, 22)
        if curve.kind == "train":
            axes.plot(
                curve.updates,
                curve.values,
                color=MUTED,
                linewidth=1,
                alpha=0.7,
                label=label,
                zorder=2,
            )
        else:
            colour, dashes = next(strokes)
            marker = "o" if len(curve.updates) <= 25 else None
            axes.plot(
                curve.updates, curve.values, color=colour, linestyle=dashes, linewidth=1.8, marker=marker,
                markersize=3.5, label=label, zorder=3,
            )  # fmt: skip
    axes.set_xlabel("update")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, columnspacing=1.2, handlelength=2.2)
