"""The figure of the experiment: loss by update and by time, and how evenly experts are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from automoe.report.canvas import ACCENT, INK, MUTED, draw, standalone

Row = Mapping[str, Any]
WIDTH, HEIGHT = 760, 620
_STROKES = [(INK, "-"), (ACCENT, "-"), (ACCENT, (0, (4, 2))), (MUTED, (0, (1.5, 1.5)))]
"""Colour and dashes of the configurations, in their order."""


def figure(curves: Sequence[Row], loads: Sequence[Row]) -> str:
    """The figure as an SVG file; each line is a mean over the seeds.

    Args:
        curves: `configuration`, `split`, `update`, `seconds`, `nll_loss`.
        loads: `configuration`, `split`, `update`, `layer`, `cv`, `dropped`.
    """
    names = list(dict.fromkeys(row["configuration"] for row in curves))
    strokes = dict(zip(names, _STROKES, strict=False))

    def paint(canvas: Any) -> None:
        (by_update, by_time), (evenness, drops) = canvas.subplots(2, 2)
        valid = [row for row in curves if row["split"] == "valid"]
        for axes, key, label in ((by_update, "update", "update"), (by_time, "seconds", "processor seconds")):
            _lines(axes, valid, strokes, lambda row: row["nll_loss"], x=key)
            axes.set_xlabel(label)
            axes.set_title("Validation loss, nats a token", fontweight="bold")
        _lines(evenness, [row for row in loads if row["split"] == "valid"], strokes, lambda row: row["cv"])
        evenness.set_title("Variation of experts' loads", fontweight="bold")
        _lines(drops, [row for row in loads if row["split"] == "train"], strokes, lambda row: 100 * row["dropped"])
        drops.set_title("Tokens without room, %", fontweight="bold")
        for axes in (evenness, drops):
            axes.set_xlabel("update")
            axes.set_ylim(bottom=0)
        canvas.legend(*by_update.get_legend_handles_labels(), loc="outside lower center", ncols=2)

    svg = draw(paint, name="switch", width=WIDTH, height=HEIGHT)
    words = f"Validation loss by update and by processor time, and loads of experts, of {'; '.join(names)}"
    return standalone(svg, words)


def _lines(
    axes: Any,
    rows: Sequence[Row],
    strokes: Mapping[str, tuple[str, Any]],
    value: Callable[[Row], float],
    x: str = "update",
) -> None:
    """A line for each configuration: means over seeds (and layers) at every update."""
    for name, (colour, dashes) in strokes.items():
        by_update: dict[int, list[Row]] = {}
        for row in rows:
            if row["configuration"] == name and row[x] is not None:
                by_update.setdefault(row["update"], []).append(row)
        if by_update:
            places = [fmean(row[x] for row in group) for group in by_update.values()]
            means = [fmean(value(row) for row in group) for group in by_update.values()]
            axes.plot(
                places, means, color=colour, linestyle=dashes, linewidth=1.8, marker="o", markersize=3, label=name
            )
