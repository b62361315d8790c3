"""The page: whole, self-contained, the same each time, and safe whatever the data say."""

import html
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from automoe.errors import DependencyError
from automoe.report import Curve, FrontPoint, ModelRow, PredictorFit, Sample, SearchTrace, draw_all, readings, render
from automoe.report.predictor_figure import MOST_DRAWN, drawn_rows
from tests.report.reports import DENSE, REPORT, changed, chosen, points

IDS = ("front", "architecture", "predictor", "search", "curves", "models", "samples", "signature")
VOID = {"meta", "link"}


@pytest.fixture(scope="module")
def page():
    return render(REPORT)


def text_of(page):
    return html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"<style>.*?</style>", "", page, flags=re.S)))


def test_every_part_is_there_under_its_name_once(page):
    for name in IDS:
        assert page.count(f'id="{name}"') == 1
    assert page.index("<h1>") < page.index('id="summary"') < min(page.index(f'id="{name}"') for name in IDS)


def test_identifiers_are_unique_and_all_references_inside_are_met(page):
    identifiers = re.findall(r' id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers)) > len(IDS)
    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)
    assert {a or b for a, b in references} <= set(identifiers)


def test_all_elements_are_closed_in_order(page):
    class Parser(HTMLParser):
        def __init__(self):
            super().__init__()
            self.stack = []

        def handle_starttag(self, tag, attrs):
            if tag not in VOID:
                self.stack.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            assert self.stack.pop() == tag

    parser = Parser()
    parser.feed(page)
    assert parser.stack == []


def test_each_drawing_says_in_words_what_it_shows(page):
    labels = re.findall(r'role="img" aria-label="([^"]+)"', page)
    assert len(labels) == 7 and all(len(label) > 80 for label in labels)
    assert "encoder 0: 4 heads, experts of width 512 (63 % of the tokens), 256 (26 %" in labels[1]


def test_the_same_data_give_the_same_bytes_in_another_process(page):
    code = (
        "import sys; from automoe.report import render; from tests.report.reports import REPORT; "
        "sys.stdout.buffer.write(render(REPORT).encode())"
    )
    env = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "86400"}
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env).stdout
    assert again == page.encode()


def test_a_user_s_matplotlib_settings_change_nothing(page):
    import matplotlib

    with matplotlib.rc_context(
        {"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path", "lines.linewidth": 9}
    ):
        assert render(REPORT) == page


def test_nothing_is_loaded_and_nothing_runs(page):
    loading = r"<(?:script|iframe|img|object|embed)|@import|@font-face|url\((?!#)|\ssrc=|\son\w+="
    assert not re.search(loading, page)
    assert [link for link in re.findall(r'href="([^"]*)"', page) if not link.startswith("#")] == ["data:,"]


def test_every_colour_of_a_figure_follows_the_page(page):
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.S):
        assert not re.search(r"#[0-9a-fA-F]{6}\b|rgb\(|(?:fill|stroke): (?!none|var)[a-z]", svg)
        assert "font-family" not in svg and "<text" in svg


EVIL = '<script>alert("x")</script> & $\\frac{1}{0}$ {{ 7 * 7 }} \' "'


def test_text_of_a_user_stays_text_wherever_it_stands():
    data = changed(
        title=EVIL,
        subtitle=EVIL,
        budgets=[replace(REPORT.budgets[0], text=EVIL)],
        chosen=replace(REPORT.chosen, selection_reasons=[EVIL], digest=EVIL),
        predictor=replace(
            REPORT.predictor,
            name=EVIL,
            chosen=EVIL,
            metrics={EVIL: {EVIL: 1.0}},
            errors_percent={EVIL: 1.0},
            warnings=[EVIL],
        ),
        curves=[replace(curve, name=EVIL) for curve in REPORT.curves],
        search=replace(REPORT.search, objectives=[EVIL]),
        quality=replace(REPORT.quality, name=EVIL),
        models=[ModelRow(name=EVIL, note=EVIL)],
        samples=[Sample(source=EVIL, reference=EVIL, translations={EVIL: EVIL})],
        notes=[EVIL],
        signature={EVIL: EVIL},
    )
    page = render(data)
    assert "<script" not in page
    assert text_of(page).count(EVIL) >= 15
    assert page.count('id="samples"') == 1


def test_the_table_of_models_shows_a_dash_for_what_is_unknown(page):
    row = re.search(r"copying the source</th>(.*?)</tr>", page)[1]
    assert re.findall(r">([^<]+)</td>", row) == ["12.1", "26.4", "–", "–", "–", "–", "–"]


def test_the_first_screen_sets_the_model_beside_the_largest(page):
    summary = re.search(r'id="summary".*?</table>', page, flags=re.S)[0]
    rows = [re.findall(r">([^<>]+)</t[hd]>", row) for row in summary.split("</tr>")]
    assert ["budget, at most 12.3 ms a sentence", "kept: 11.4"] in rows
    assert ["BLEU", "31.0", "30.1"] in rows and ["experts", "9", "28"] in rows
    alone = render(changed(models=[replace(row, role="other") for row in REPORT.models]))
    assert re.search(r'"row">BLEU</th><td class="strong">31.0</td><td></td>', alone)


def test_a_search_that_left_nothing_to_draw_still_gives_a_page_that_says_so():
    page = render(
        changed(
            points=[], budgets=[], curves=[], models=[], samples=[], notes=[], signature={},
            chosen=chosen(DENSE, {}), predictor=PredictorFit(name="none", metrics={}), quality=None,
            search=SearchTrace(objectives=["loss"], hypervolume=[]),
        )
    )  # fmt: skip
    for name in IDS:
        assert page.count(f'id="{name}"') == 1
    for sentence in (
        "The search evaluated no architecture.",
        "No latency was measured",
        "No training curve was recorded.",
        "No sentence was translated.",
    ):
        assert sentence in page


def test_a_training_that_diverged_has_a_gap_in_its_curve_and_the_last_number_in_its_sentence():
    nan = float("nan")
    curves = [
        Curve(panel="supernet", name="largest", updates=[1, 2, 3], values=[3.0, 2.5, nan], kind="valid"),
        Curve(panel="supernet", name="smallest", updates=[], values=[], kind="valid"),
        Curve(panel="distillation", name="training", updates=[5], values=[2.0], kind="train"),
    ]
    page = render(changed(curves=curves))
    assert "2.500 (largest) nats per token" in page and "nan" not in page.lower()


def test_executed_flops_are_said_where_the_routing_decides_them(page):
    assert page.count('id="executed"') == 1 and "off by 3.7 %" in page
    assert 'id="executed"' not in render(changed(executed=None))


def test_the_fit_of_the_quality_predictor_is_said_where_there_is_one(page):
    assert page.count('id="quality"') == 1
    assert 'id="quality"' not in render(changed(quality=None))


def test_the_table_of_the_front_shows_bleu_where_the_search_translated(page):
    def header(page):
        return re.search(r"The front as a table.*?</thead>", page, flags=re.S)[0]

    scored = [replace(point, bleu=20 + point.loss) for point in REPORT.points]
    with_bleu = render(changed(points=scored))
    assert "BLEU" in header(with_bleu) and "BLEU" not in header(page)
    on_front = [point for point in scored if point.on_front]
    assert all(f'<td class="number">{point.bleu:.1f}</td>' in with_bleu for point in on_front)


def test_a_fit_that_knows_no_more_than_its_rows_is_drawn_once_and_warns_of_nothing(page):
    known = {"errors_percent": {}, "learning_curve": (), "warnings": ()}
    alone = render(changed(predictor=replace(REPORT.predictor, **known)))
    assert page.count('id="predictor-') - alone.count('id="predictor-') >= 3
    assert 'id="predictor-warnings"' in page and 'id="predictor-warnings"' not in alone


def test_noise_that_is_larger_than_all_errors_is_within_the_drawings():
    files = draw_all(replace(REPORT.predictor, noise_percent=40.0))
    assert all(re.search(r">40</text>", files[name]) for name in ("errors.svg", "learning.svg"))
    assert not re.search(r">40</text>", draw_all(REPORT.predictor)["learning.svg"])


def test_of_very_many_rows_an_even_choice_with_both_ends_is_drawn_and_said():
    rows = [float(row) for row in range(2000, 0, -1)]
    fit = replace(REPORT.predictor, measured_ms=rows, predicted_ms=rows, lower_ms=rows, upper_ms=rows)
    drawn = drawn_rows(fit)
    assert len(drawn) == len(set(drawn)) == MOST_DRAWN and {0, 1999} <= set(drawn)
    assert f"Drawn are {MOST_DRAWN} of them" in readings.predictor_reading(fit)
    assert "Drawn are" not in readings.predictor_reading(REPORT.predictor)
    assert sorted(drawn_rows(REPORT.predictor)) == list(range(60))


def test_one_point_and_equal_values_can_be_drawn():
    (point,) = points(1, budget=100)
    assert "of 1 architecture that" in render(changed(points=[point]))
    same = FrontPoint(digest="a", loss=3, latency_ms=9, lower_ms=9, upper_ms=9, flops_g=1, params_m=1, on_front=True)
    fit = PredictorFit(
        name="x", measured_ms=[9], predicted_ms=[9], lower_ms=[9], upper_ms=[9], metrics={"x": {"tau": float("nan")}}
    )
    nothing = SearchTrace(objectives=["loss", "latency_ms"], hypervolume=[0.0])
    page = render(changed(points=[same, same], predictor=fit, search=nothing))
    assert "1 of 1 intervals (100 %)" in page and "spans no volume of loss and latency" in page


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DependencyError, match=rf"'{package}' is not installed.*automoe\[report\]"):
        render(REPORT)


def test_the_room_loads_without_its_packages():
    packages = ("jinja2", "matplotlib", "pandas", "torch")
    code = f"import sys, automoe.report; print([m for m in {packages} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
