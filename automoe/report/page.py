"""Renders the report: one HTML file that needs no other file, no script and no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from automoe.errors import DependencyError
from automoe.report import formats, readings
from automoe.report.architecture_figure import draw_architecture
from automoe.report.curves_figure import draw_curves
from automoe.report.data import PredictorFit, ReportData
from automoe.report.expert_use import LayerUse, layer_uses
from automoe.report.front_figure import draw_front
from automoe.report.hypervolume_figure import draw_hypervolume
from automoe.report.predictor_drawings import drawings
from automoe.space import DecoderLayerArch

_WIDE, _NARROW = 720, 360
"""Every figure is drawn twice, for a desk and for a telephone, so that its text is legible on both."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One drawing in two sizes, and what it says in words."""

    title: str
    reading: str
    text: str
    """The text alternative."""
    wide: str = ""
    narrow: str = ""


def render(data: ReportData) -> str:
    """The page as HTML: the same data give the same text, whenever and wherever it is rendered.

    Raises:
        DependencyError: jinja2 or matplotlib is not installed.
    """
    template = _environment().get_template("page.html")
    return template.render(
        data=data,
        headline=readings.headline(data),
        summary=_summary(data),
        experts=readings.experts_reading(data),
        front=_front(data),
        architecture=_architecture(data),
        predictor=_predictor(data.predictor),
        search=_search(data),
        quality=readings.quality_reading(data.quality),
        executed=readings.executed_reading(data.executed),
        curves=_curves(data),
        layers=[_layer_row(use) for use in layer_uses(data.chosen)],
        metrics=list(dict.fromkeys(name for row in data.predictor.metrics.values() for name in row)),
    )


def _environment() -> Any:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise DependencyError("jinja2", extra="report") from error
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("significant", "fixed", "percent", "interval")
    environment.filters.update({name: getattr(formats, name) for name in names})
    return environment


def _figure(title: str, reading: str, draw: Callable[..., str] | None, name: str, text: str = "") -> Figure:
    """Both sizes of a drawing; none of it where there is nothing to draw (`draw` is None)."""
    if draw is None:
        return Figure(title=title, reading=reading, text=reading)
    return Figure(
        title=title,
        reading=reading,
        text=text or f"{title}. {reading}",
        wide=draw(name=f"{name}-wide", width=_WIDE),
        narrow=draw(name=f"{name}-narrow", width=_NARROW),
    )


def _front(data: ReportData) -> Figure:
    draw = partial(draw_front, data) if data.points else None
    return _figure("The front: quality against cost", readings.front_reading(data), draw, "front")


def _architecture(data: ReportData) -> Figure:
    return Figure(
        title="The chosen architecture, layer by layer",
        reading=readings.architecture_reading(),
        text=readings.architecture_text(data),
        wide=draw_architecture(data.chosen, width=_WIDE),
        narrow=draw_architecture(data.chosen, width=_NARROW),
    )


def _predictor(fit: PredictorFit) -> list[Figure]:
    return [_figure(drawing.title, drawing.reading, drawing.draw, drawing.name) for drawing in drawings(fit)]


def _search(data: ReportData) -> Figure:
    draw = partial(draw_hypervolume, data.search) if data.search.shares else None
    return _figure("The search: hypervolume over evaluations", readings.search_reading(data.search), draw, "search")


def _curves(data: ReportData) -> Figure:
    draw = partial(draw_curves, data.curves) if data.curves else None
    return _figure("Training curves", readings.curves_reading(data.curves), draw, "curves")


def _summary(data: ReportData) -> list[tuple[str, str, str]]:
    """The small table of the first screen: what, of this model, of the largest sub-transformer ("" if unknown)."""
    rows = data.chosen_row(), data.largest_row()
    archs = data.chosen.architecture, data.chosen.largest
    table: list[tuple[str, str, str]] = []

    def add(what: str, show: Callable[[Any], str], pair: tuple[Any, Any]) -> None:
        table.append((what, *("" if x is None else show(x) for x in pair)))  # type: ignore[arg-type]

    add("latency, ms a sentence", lambda r: formats.significant(r.latency_ms), rows)
    for line in data.budgets:
        verdict = "kept" if line.kept else "broken"
        this = f"{verdict}: {formats.beside(line.value, line.max)}"
        table.append((f"budget, at most {line.max:.4g} {readings.UNITS[line.cost]}", this, ""))
    add("BLEU", lambda r: formats.fixed(r.bleu), rows)
    add("chrF", lambda r: formats.fixed(r.chrf), rows)
    add("GFLOPs a sentence pair", lambda r: formats.significant(r.flops_g), rows)
    add("parameters, million", lambda r: formats.significant(r.params_total_m), rows)
    add("layers, encoder + decoder", lambda a: f"{len(a.encoder.layers)} + {len(a.decoder.layers)}", archs)
    add("experts", lambda a: str(sum(x.num_experts for _, _, x in a.layers() if x.num_experts > 1) or "none"), archs)
    return table


def _layer_row(use: LayerUse) -> dict[str, str]:
    """One layer in the table below the drawing."""
    layer, cross = use.layer, ""
    if isinstance(layer, DecoderLayerArch):
        last = f"last {formats.counted(layer.cross_layers, 'encoder layer')}"
        cross = f"{layer.cross_heads} × {layer.cross_qkv_dim // layer.cross_heads}, {last}"
    shares = use.shares or (None,) * layer.num_experts
    experts = [
        f"{width}" + ("" if share is None or not use.has_experts else f" ({formats.percent(share)})")
        for width, share in zip(layer.expert_widths, shares, strict=True)
    ]
    return {
        "name": use.name,
        "attention": f"{layer.heads} × {layer.qkv_dim // layer.heads}",
        "cross": cross or formats.DASH,
        "experts": ", ".join(experts) if use.has_experts else f"{layer.expert_widths[0]}, dense",
    }
