"""All drawings of a predictor's fit: for the page, and as files of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from automoe.report import readings
from automoe.report.canvas import standalone
from automoe.report.data import PredictorFit
from automoe.report.errors_figure import draw_errors
from automoe.report.learning_figure import draw_learning
from automoe.report.predictor_figure import draw_predictor

_WIDTH = 400
"""Of a file of its own: legible on a telephone, and as large as one likes elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One drawing of a fit."""

    name: str
    """Of the file without its ending, and of the drawing on a page."""
    title: str
    reading: str
    draw: Callable[..., str] | None
    """Takes `name` and `width`; None where there is nothing to draw."""


def drawings(fit: PredictorFit) -> list[Drawing]:
    """Predicted against measured, and what else the fit holds: the learning curve, the errors of what was tried."""
    found = [
        Drawing(
            name="predictor",
            title="Predicted against measured latency",
            reading=readings.predictor_reading(fit),
            draw=partial(draw_predictor, fit) if fit.measured_ms else None,
        )
    ]
    if fit.errors_percent:
        found.append(
            Drawing(
                name="errors",
                title="What was tried",
                reading=readings.errors_reading(fit),
                draw=partial(draw_errors, fit),
            )
        )
    if fit.learning_curve:
        found.append(
            Drawing(
                name="learning",
                title="How many measurements it takes",
                reading=readings.learning_reading(fit),
                draw=partial(draw_learning, fit),
            )
        )
    return found


def draw_all(fit: PredictorFit) -> dict[str, str]:
    """The drawings as SVG files that need no other file, by name of the file.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    return {
        f"{drawing.name}.svg": standalone(
            drawing.draw(name=drawing.name, width=_WIDTH), f"{drawing.title}. {drawing.reading}"
        )
        for drawing in drawings(fit)
        if drawing.draw is not None
    }
