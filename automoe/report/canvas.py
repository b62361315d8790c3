"""Draws with matplotlib and gives back SVG that stands inside a page and follows its colours.

The figures are drawn in colours that stand for the page's CSS variables and are exchanged for them afterwards, so
that one drawing is right in light and in dark mode. Text stays text, in the page's font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from automoe.errors import DependencyError

INK, MUTED, FAINT, ACCENT, PAPER = "#010203", "#010204", "#010205", "#010206", "#010207"
_VARIABLES = {INK: "--ink", MUTED: "--muted", FAINT: "--faint", ACCENT: "--accent", PAPER: "--paper"}

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name that holds a dollar sign is no formula
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same metrics on every machine
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.unicode_minus": False,
    "figure.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": MUTED,
    "text.color": INK,
    "xtick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.color": FAINT,
    "ytick.labelcolor": MUTED,
}


def draw(paint: Callable[[Any], None], *, name: str, width: int, height: int, font_size: float = 11.5) -> str:
    """An `<svg>` element of width x height units that fills the width of its parent.

    Args:
        paint: draws on the matplotlib `Figure` that it is given.
        name: different for every drawing of a page; it makes the identifiers inside differ.
        width: in units; a unit is a pixel where the parent is that wide.
        height: likewise.
        font_size: in units.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context, rcParamsDefault
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError("matplotlib", extra="report") from error

    stream = io.StringIO()
    default = {key: value for key, value in rcParamsDefault.items() if not key.startswith("backend")}
    with rc_context({**default, **_STYLE, "font.size": font_size, "svg.hashsalt": name}):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", dpi=72, transparent=True, metadata=nothing)
    return _for_a_page(stream.getvalue(), name, width, height)


def standalone(svg: str, text: str) -> str:
    """A drawing of `draw` as a file of its own, in the page's colours, light and dark.

    Args:
        svg: the drawing.
        text: what it shows, in words.
    """
    palette = (_TEMPLATES / "palette.css").read_text(encoding="utf-8").strip()
    style = f"{palette}\nsvg {{ background: var(--paper); font-family: var(--font); }}"
    head = f"<title>{escape(text)}</title>\n<style>\n{style}\n</style>"
    opening, _, body = svg.replace(' aria-hidden="true"', "", 1).partition(">")
    return f'{opening} xmlns="http://www.w3.org/2000/svg" role="img">\n{head}{body}\n'


def _for_a_page(svg: str, name: str, width: int, height: int) -> str:
    """The drawing without what a page has already: prologue, namespaces, style sheet, identifiers, font, colours."""
    body = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)", body))
    body = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", body)
    for identifier in sorted(used & set(re.findall(r' id="([^"]*)"', body))):
        body = re.sub(rf'(["#]){identifier}\b', rf"\g<1>{name}-{identifier}", body)
    body = body.replace("xlink:href", "href")
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">\n{body}\n</svg>'
