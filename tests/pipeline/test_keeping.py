"""A bundle is held against its budget: what is kept, how often it is measured, and what a refusal names."""

import json
import re
from dataclasses import replace
from statistics import median
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from automoe.pipeline.keeping import SESSIONS, BudgetBroken, held_against, limits_of, measured_sessions, refuse_broken
from automoe.pipeline.stage import Inputs
from automoe.search import LATENCY, SelectConfig, parse_budgets, select
from tests.search.analytic import limit, new_archive, records_of, sampled

NO_MORE = SelectConfig(near=0)

times = st.floats(0.1, 100)
THREE = st.lists(times, min_size=SESSIONS, max_size=SESSIONS)


def held(values, most, *, refused_before=False):
    """The limit and what the bundle takes, where its sessions would give these values."""
    limits, left = [limit(LATENCY, most)], iter(values)
    rows = measured_sessions(limits, lambda: SimpleNamespace(latency_ms=next(left)), refused_before=refused_before)
    (line,) = held_against(limits, {}, rows)
    return line


@given(THREE, times, st.booleans())
def test_a_kept_line_takes_at_most_its_limit_and_a_broken_one_more(values, most, refused_before):
    line = held(values, most, refused_before=refused_before).to_dict()
    assert line["kept"] == (line["value"] <= line["max"])
    assert line["value"] == median(line["sessions"]) and line["sessions"] == values[: len(line["sessions"])]


@given(THREE, times)
def test_one_disturbed_session_refuses_nothing_and_one_lucky_session_passes_nothing_refused(values, most):
    below = sorted(values)[-2] <= most
    assert held(sorted(values, reverse=True), most).kept == below  # the slowest first
    assert held(sorted(values), most, refused_before=True).kept == below  # the fastest first


@given(THREE, times)
def test_a_bundle_is_measured_again_only_where_it_matters(values, most):
    sessions = len(held(values, most).sessions)
    assert sessions == (1 if values[0] <= most else SESSIONS)


def test_every_further_session_is_told(capsys):
    assert held([2.6, 2.2, 2.1], 2.3).kept
    assert capsys.readouterr().err == "2.6 ms are above 2.3 ms: measured twice more\n"
    assert held([2.1, 2.2, 2.1], 2.3, refused_before=True).kept
    assert "it was above before: measured twice more" in capsys.readouterr().err
    assert held([2.1], 2.3).kept and not capsys.readouterr().err


def test_without_a_limit_on_latency_it_is_measured_once():
    limits = [limit("params_m", 1.0)]
    for refused_before in (False, True):
        rows = measured_sessions(limits, lambda: SimpleNamespace(latency_ms=9.0), refused_before=refused_before)
        assert len(rows) == 1
        (line,) = held_against(limits, {"params_m": 0.8}, rows)
        assert line.kept and not line.sessions


def refusal(folder, limits, slower, records, margin=1.0, **told):
    """A choice under this budget as finished stages hold it, and the refusal of its bundle, which took so many times
    what was predicted; None if it was kept."""
    for old in folder.iterdir():
        old.unlink()
    archive = new_archive(folder)
    archive.add(*records)
    choice = select(records, limits, replace(NO_MORE, latency_margin=margin))
    (folder / "selection.json").write_text(json.dumps(choice.to_dict() | told))
    (folder / "predictor.json").write_text('{"coverage": 0.9}')
    inputs = Inputs(folders=dict.fromkeys(("select", "search", "predictor"), folder), maybe_seed=None)
    lines = held_by(choice.record, limits_of(inputs, limits[0].section), slower)
    try:
        refuse_broken(lines, inputs, "loss")
    except BudgetBroken as error:
        return choice.record, error
    return choice.record, None


def held_by(record, limits, slower):
    """The budget, held against the bundle of this architecture on a machine that is so many times slower."""
    rows = [SimpleNamespace(latency_ms=record.costs[LATENCY].mean * slower)] * SESSIONS
    return held_against(limits, {cost: estimate.mean for cost, estimate in record.costs.items()}, rows)


def hinted_margin(error):
    return float(re.search(r"select\.latency_margin=([\d.]+) should choose", error.hint)[1])


@given(st.integers(0, 999), st.floats(1.0, 2.5), st.floats(1.001, 1.4), st.sampled_from([1.0, 1.1, 1.3]))
def test_the_margin_that_a_refusal_names_chooses_what_it_names_and_that_is_kept(
    folder_of_refusals, seed, room, over, margin
):
    records = records_of(sampled(20, seed))
    least = min(limit(LATENCY, 1).upper(record.costs[LATENCY]) for record in records)
    limits = [limit(LATENCY, 1.0001 * margin * room * least)]
    first = select(records, limits, replace(NO_MORE, latency_margin=margin)).record
    slower = over * limits[0].max / first.costs[LATENCY].mean
    _, error = refusal(folder_of_refusals, limits, slower, records, margin)
    if "none of those evaluated should keep it" in error.hint:
        assert least * (slower + 0.01) > limits[0].max  # a margin has two digits behind the point
        return
    assert hinted_margin(error) > margin
    again = select(records, limits, replace(NO_MORE, latency_margin=hinted_margin(error))).record
    assert f"should choose {again.digest} " in error.hint
    assert all(line.kept for line in held_by(again, limits, slower))


@pytest.fixture(scope="module")
def folder_of_refusals(tmp_path_factory):
    return tmp_path_factory.mktemp("refusals")


@pytest.mark.parametrize("slower", [0.9, 1.1, 1.3, 1.6])
@pytest.mark.parametrize("fields", [{}, {"section": "budgets.fast"}, {"max_ratio": 0.5}, {"quantile": 0.8}])
def test_a_refusal_names_in_a_form_that_works_the_budget_that_the_bundle_keeps(tmp_path, slower, fields):
    limits = [limit(LATENCY, 6.0, **fields), limit("params_m", 1.0, section=fields.get("section", "budget"))]
    best, error = refusal(tmp_path, limits, slower, records_of(sampled(60, seed=3)))
    taken = best.costs[LATENCY].mean * slower
    assert (error is None) == (taken <= 6.0)
    if error is None:
        return
    assert error.key == limits[0].key and error.digest == best.digest and best.digest in str(error)
    if "section" in fields:
        typed = yaml.safe_load(re.search(r"Raise it to 'budgets=(.+?)' or more", error.hint)[1])
        latency, params = parse_budgets(typed)["fast"]
        assert params.max == 1.0
    else:
        key, value = re.search(r"Raise (\S+) to ([\d.]+) or more", error.hint).groups()
        assert key == limits[0].key
        latency = SimpleNamespace(max=float(value) * (6.0 / 0.5 if "max_ratio" in fields else 1))
    assert taken <= latency.max * 1.0000001 <= taken * 1.002


def test_a_refused_quantile_or_ratio_of_several_budgets_is_named_whole(tmp_path):
    fields = {"section": "budgets.fast", "quantile": 0.8, "max_ratio": 0.5}
    _, error = refusal(tmp_path, [limit(LATENCY, 6.0, **fields)], 1.6, records_of(sampled(60, seed=3)))
    typed = yaml.safe_load(re.search(r"Raise it to 'budgets=(.+?)' or more", error.hint)[1])
    (line,) = parse_budgets(typed)["fast"]
    assert line.max_ratio > 0.5 and line.quantile == 0.8


def test_what_is_expected_is_judged_by_the_predictions_of_the_last_refit(tmp_path):
    records = records_of(sampled(60, seed=3))
    _, error = refusal(tmp_path, [limit(LATENCY, 6.0)], 1.3, records)
    slow = {record.digest: [9.0, 9.0, 9.0] for record in records}
    _, refitted = refusal(tmp_path, [limit(LATENCY, 6.0)], 1.3, records, refitted=slow)
    assert "should choose" in error.hint and "none of those evaluated should keep it" in refitted.hint


def test_where_nothing_evaluated_should_keep_the_budget_it_says_so(tmp_path):
    (only,) = records_of(sampled(1, seed=0))
    mean, upper = only.costs[LATENCY].mean, limit(LATENCY, 1).upper(only.costs[LATENCY])
    _, error = refusal(tmp_path, [limit(LATENCY, upper)], 1.01 * upper / mean, [only])
    assert "none of those evaluated should keep it" in error.hint
