"""The page in headless Chromium: figures found, nothing on the console, no request, no sideways scrolling."""

import re

import pytest

from automoe.report import render
from tests.report.chromium import visit
from tests.report.reports import REPORT, changed

IDS = ("front", "architecture", "predictor", "search", "curves", "models", "samples", "signature")
MEASURE = """<script>
const inside = [...document.querySelectorAll("figure svg, table")].filter((e) => e.checkVisibility());
const figures = inside.filter((e) => e.matches("svg"));
document.title = JSON.stringify({
  inner: window.innerWidth, scroll: document.documentElement.scrollWidth, figures: figures.length,
  text: Math.min(...figures.flatMap((svg) => [...svg.querySelectorAll("text")].map(
    (t) => parseFloat(getComputedStyle(t).fontSize) * svg.getScreenCTM().a))),
  paper: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
  mark: getComputedStyle(document.querySelector("#front text")).fill,
});
</script>"""


def measured(html, folder, width, *flags):
    """What a script finds in the page, shown in a frame of this width: no window of a browser is as narrow."""
    (folder / "page.html").write_text(html.replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    outer = folder / "outer.html"
    outer.write_text(
        f'<!doctype html><title>wait</title><iframe src="page.html" width="{width}" height="900" style="border:0" '
        """onload="document.title = this.contentDocument.title"></iframe>""",
        encoding="utf-8",
    )
    title = re.search("<title>(.*?)</title>", visit(outer, folder, "--allow-file-access-from-files", *flags).dom)[1]
    return {key: value for key, value in re.findall(r'"(\w+)":"?([^"}]+?)"?[,}](?="|$)', title)}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    page = folder / "report.html"
    page.write_text(render(REPORT), encoding="utf-8")
    return page, visit(page, folder)


def test_the_browser_finds_every_figure_and_table(opened):
    _, seen = opened
    for name in IDS:
        assert len(re.findall(rf'<(?:figure|table) id="{name}"', seen.dom)) == 1
    assert seen.dom.count("<svg") == 14  # seven figures, for a desk and for a telephone


def test_the_console_stays_empty(opened):
    assert opened[1].console == []


def test_nothing_but_the_page_itself_is_asked_for(opened):
    page, seen = opened
    assert [url for url in seen.requests if not url.startswith(("data:", page.as_uri()))] == []


def test_an_error_on_the_console_and_a_request_would_be_seen(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        '<img src="http://example.invalid/x.png"><script>console.error("wrong")</script>', encoding="utf-8"
    )
    seen = visit(page, tmp_path)
    assert any("wrong" in line for line in seen.console)
    assert any("example.invalid" in url for url in seen.requests)


@pytest.fixture(scope="module", params=[(400, "dark"), (320, "light")], ids=["400-dark", "320-light"])
def measurement(request, tmp_path_factory):
    width, scheme = request.param
    long = changed(title="x" * 90, signature={"key" * 30: "v" * 400}, notes=["w" * 300])
    flag = f"--blink-settings=preferredColorScheme={('dark', 'light').index(scheme)}"
    return width, scheme, measured(render(long), tmp_path_factory.mktemp("narrow"), width, flag)


def test_the_page_never_scrolls_sideways(measurement):
    width, _, found = measurement
    assert int(found["inner"]) == width and int(found["scroll"]) <= width


def test_all_figures_are_legible_on_a_telephone(measurement):
    _, _, found = measurement
    assert int(found["figures"]) == 7 and float(found["text"]) >= 8


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_contrast_in_light_and_in_dark_mode_inside_figures_too(measurement):
    _, scheme, found = measurement
    paper = luminance(found["paper"])
    assert (paper < 0.1) == (scheme == "dark")
    for colour in (found["ink"], found["mark"]):
        low, high = sorted((paper, luminance(colour)))
        assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.2, level AA
