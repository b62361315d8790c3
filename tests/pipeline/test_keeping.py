"""A bundle is held against its budget: what is kept, how often it is measured, and what a refusal names."""

import json
import re
from statistics import median
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.pipeline.keeping import SESSIONS, BudgetBroken, held_against, limits_of, measured_sessions, refuse_broken
from automoe.pipeline.stage import Inputs
from automoe.search import LATENCY, Selection
from tests.search.analytic import limit, new_archive, record_of, records_of, sampled

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


def test_without_a_limit_on_latency_it_is_measured_once():
    limits = [limit("params_m", 1.0)]
    for refused_before in (False, True):
        rows = measured_sessions(limits, lambda: SimpleNamespace(latency_ms=9.0), refused_before=refused_before)
        assert len(rows) == 1
        (line,) = held_against(limits, {"params_m": 0.8}, rows)
        assert line.kept and not line.sessions


@pytest.fixture
def chosen(tmp_path):
    """Finished folders of a choice under a limit on latency; the refusal where the bundle took so many times more."""

    def call(most, slower, others):
        records = records_of(others)
        archive = new_archive(tmp_path)
        archive.add(*records)
        limits = (limit(LATENCY, most),)
        keeping = [record for record in records if limits[0].upper(record.costs[LATENCY]) <= most]
        best = min(keeping, key=lambda record: record.loss)
        selection = Selection(record=best, limits=limits, measured={}, reasons=(), runner_ups=())
        (tmp_path / "selection.json").write_text(json.dumps(selection.to_dict()))
        (tmp_path / "predictor.json").write_text('{"coverage": 0.9}')
        inputs = Inputs(folders=dict.fromkeys(("select", "search", "predictor"), tmp_path), maybe_seed=None)
        rows = [SimpleNamespace(latency_ms=best.costs[LATENCY].mean * slower)] * SESSIONS
        lines = held_against(limits_of(inputs, "budgets.fast"), {}, rows)
        try:
            refuse_broken(lines, inputs, "loss")
        except BudgetBroken as error:
            return best, records, lines[0], error
        return best, records, lines[0], None

    return call


@pytest.mark.parametrize("slower", [0.9, 1.1, 1.3, 1.6])
def test_a_refusal_names_the_budget_that_the_bundle_keeps_and_the_best_that_should_keep_this_one(chosen, slower):
    most = 6.0
    best, records, line, error = chosen(most, slower, sampled(60, seed=3))
    assert (error is None) == line.kept == (line.value <= most)
    if error is None:
        return
    assert error.key == "budgets.fast.latency_ms" and error.digest == best.digest and best.digest in str(error)
    assert float(re.search(r"Raise budgets\.fast\.latency_ms to ([\d.]+) or more", error.hint)[1]) >= line.value
    expected = [record for record in records if line.limit.upper(record.costs[LATENCY]) * slower <= most]
    nearest = min(expected, key=lambda record: record.loss)
    assert f"the best of those evaluated that should keep it is {nearest.digest}" in error.hint
    lower = float(re.search(r"what budgets\.fast\.latency_ms=([\d.]+) asks for", error.hint)[1])
    asked = [record for record in records if line.limit.upper(record.costs[LATENCY]) <= lower]
    assert min(asked, key=lambda record: record.loss) is nearest


def test_where_nothing_evaluated_should_keep_the_budget_it_says_so(chosen):
    (only,) = sampled(1, seed=0)
    mean, upper = record_of(only).costs[LATENCY].mean, limit(LATENCY, 1).upper(record_of(only).costs[LATENCY])
    *_, error = chosen(upper, 1.01 * upper / mean, [only])
    assert "none of those evaluated should keep it" in error.hint
