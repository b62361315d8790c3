import json
import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from automoe.errors import ConfigError
from automoe.search import Estimate, SelectConfig, select, used_share
from automoe.space import Architecture
from tests.search.analytic import latency, limit, record_lists, record_of, records_of, sampled

NO_MORE = SelectConfig(near=0)
latencies = st.floats(2.0, 9.0)
factors = st.floats(0.85, 1.15)


def record(name: int, loss: float, mean: float, width: float = 0.0):
    """A record with a latency of one's choice."""
    arch = sampled(40, 0)[name]
    return record_of(arch, loss=loss, costs={"latency_ms": Estimate(mean, mean * (1 - width), mean * (1 + width))})


def below(most: float, **fields):
    """A latency limit at the quantile that the records' intervals end at, so that bounds are their ends."""
    return [limit("latency_ms", most, quantile=0.95, coverage=0.9, **fields)]


def measured_as(values, calls=None):
    """Measures what the table says, by the architecture's digest."""

    def measure(arch):
        if calls is not None:
            calls.append(arch.digest)
        value = values[arch.digest]
        return value, value * 0.98, value * 1.02

    return measure


@given(record_lists, latencies, st.floats(1e-4, 2e-3), st.floats(0.5, 0.99))
def test_the_choice_keeps_every_limit_and_nothing_that_keeps_them_is_better(records, most, flops, quantile):
    limits = [limit("latency_ms", most, quantile=quantile), limit("flops_g", flops)]
    keeping = [each for each in records if used_share(each.costs, limits) <= 1]
    try:
        choice = select(records, limits, NO_MORE)
    except ConfigError:
        assert not keeping
        return
    assert choice.record.loss == min(each.loss for each in keeping)
    assert [choice.record, *choice.runner_ups] == sorted(keeping, key=lambda each: each.loss)[:6]


@given(record_lists, latencies, st.lists(factors, min_size=12, max_size=12), st.integers(0, 4))
def test_with_measuring_the_choice_was_measured_and_keeps_the_limit(records, most, noise, measure):
    truth = {each.digest: latency(each.arch) * factor for each, factor in zip(records, noise, strict=False)}
    calls = []
    config = SelectConfig(near=0, measure=measure)
    try:
        choice = select(records, below(most), config, measured_as(truth, calls))
    except ConfigError:
        assert all(1.02 * truth[digest] > most for digest in calls)
        return
    finally:
        assert len(set(calls)) == len(calls)
    assert list(choice.measured) == calls
    assert choice.record.digest == calls[-1]
    assert choice.costs["latency_ms"].upper == 1.02 * truth[choice.record.digest] <= most
    better = [each for each in records if each.loss < choice.record.loss]
    assert all(each.digest not in calls or 1.02 * truth[each.digest] > most for each in better)
    doubtful = [each for each in better if each.costs["latency_ms"].upper > most and each.digest in calls]
    kept = [
        each for each in records if used_share(each.costs, below(most)) <= 1 and 1.02 * truth[each.digest] <= most
    ]
    assert len(doubtful) <= measure or not kept  # the limit falls only where nothing else is left


@given(record_lists, latencies, st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(records, most, random):
    shuffled = random.sample(records, len(records))
    assume(any(used_share(each.costs, below(most)) <= 1 for each in records))
    assert select(records, below(most), NO_MORE).to_dict() == select(shuffled, below(most), NO_MORE).to_dict()


def test_a_doubtful_one_of_lower_loss_is_chosen_if_it_measures_below():
    doubtful, certain = record(0, 1.0, 10.0, 0.2), record(1, 2.0, 5.0, 0.2)
    truth = {doubtful.digest: 10.5, certain.digest: 5.0}
    assert select([doubtful, certain], below(11), NO_MORE).record is certain
    choice = select([doubtful, certain], below(11), NO_MORE, measured_as(truth))
    assert choice.record is doubtful
    assert list(choice.measured) == [doubtful.digest]


def test_a_doubtful_one_that_measures_above_is_passed_over():
    doubtful, certain = record(0, 1.0, 10.0, 0.2), record(1, 2.0, 5.0, 0.2)
    truth = {doubtful.digest: 11.5, certain.digest: 5.0}
    choice = select([doubtful, certain], below(11), NO_MORE, measured_as(truth))
    assert choice.record is certain
    assert list(choice.measured) == [doubtful.digest, certain.digest]


def test_what_is_certainly_above_is_not_measured():
    slow, certain = record(0, 1.0, 20.0, 0.2), record(1, 2.0, 5.0, 0.2)
    choice = select([slow, certain], below(11), NO_MORE, measured_as({certain.digest: 5.0}))
    assert list(choice.measured) == [certain.digest]


def test_a_choice_that_measures_above_the_budget_gives_way_to_the_next():
    best, next_best = record(0, 1.0, 5.0, 0.2), record(1, 2.0, 5.0, 0.2)
    choice = select([best, next_best], below(7), NO_MORE, measured_as({best.digest: 7.1, next_best.digest: 5.0}))
    assert choice.record is next_best
    assert choice.runner_ups == ()


def test_only_so_many_doubtful_ones_are_measured_best_first():
    doubtful = [record(index, 1.0 + index, 10.0, 0.2) for index in range(4)]
    certain = record(4, 9.0, 5.0, 0.2)
    calls = []
    truth = {each.digest: 11.5 for each in doubtful} | {certain.digest: 5.0}
    choice = select([certain, *doubtful], below(11), SelectConfig(near=0, measure=2), measured_as(truth, calls))
    assert calls == [doubtful[0].digest, doubtful[1].digest, certain.digest]
    assert any("2 architectures of better quality might keep the budget" in reason for reason in choice.reasons)


def test_without_a_latency_limit_nothing_is_measured():
    records = records_of(sampled(5, 0))
    choice = select(records, [limit("flops_g", 1.0)], NO_MORE, measured_as({}))
    assert not choice.measured


def test_equal_losses_go_to_the_faster_then_to_the_smaller_digest():
    slow, fast, twin = record(0, 1.0, 6.0), record(1, 1.0, 5.0), record(2, 1.0, 5.0)
    assert select([slow, twin, fast], below(7), NO_MORE).record is min(fast, twin, key=lambda each: each.digest)


def test_too_few_just_below_the_budget_continue_the_search_there():
    cheap, slow, found = record(0, 2.0, 1.0), record(1, 0.5, 20.0), record(2, 1.0, 9.5)
    asked = []

    def continue_search(evaluations, records):
        asked.append(evaluations)
        return [cheap, slow, found]

    config = SelectConfig(near=1, near_ratio=0.9, extra_evaluations=7)
    choice = select([cheap, slow], below(10), config, continue_search=continue_search)
    assert asked == [7]
    assert choice.record is found
    assert any("7 more evaluations" in reason for reason in choice.reasons)
    assert select([cheap, slow, found], below(10), config, continue_search=continue_search).record is found
    assert asked == [7]  # one is enough now


def test_a_budget_that_nothing_breaks_does_not_continue_the_search():
    def refuse(evaluations, records):
        raise AssertionError("searched on")

    choice = select([record(0, 2.0, 1.0)], below(10), SelectConfig(near=1), continue_search=refuse)
    assert any("does not bind" in reason for reason in choice.reasons)


@pytest.mark.parametrize("config", [SelectConfig(near=2, extra_evaluations=0), SelectConfig(near=2)])
def test_a_search_that_cannot_go_on_says_so(config):
    choice = select([record(0, 2.0, 1.0), record(1, 1.0, 20.0)], below(10), config)
    assert any("does not go on" in reason for reason in choice.reasons)


def test_nothing_that_keeps_the_budget_is_refused_with_the_nearest():
    near, far = record(0, 2.0, 11.0), record(1, 1.0, 20.0)
    with pytest.raises(ConfigError, match=f"the nearest, {near.digest}, takes 11 ms") as error:
        select([near, far], below(10), NO_MORE)
    assert (error.value.key, error.value.value) == ("budget.latency_ms", 10)
    with pytest.raises(ConfigError, match=r"takes 10\.3 ms when it was measured"):
        select([record(0, 2.0, 9.0)], below(10), NO_MORE, measured_as({near.digest: 10.1}))


def test_a_ratio_that_nothing_keeps_says_what_it_comes_to():
    with pytest.raises(ConfigError, match=r"max_ratio=0\.5: .* where 10 ms are allowed"):
        select([record(0, 2.0, 11.0)], below(10, max_ratio=0.5), NO_MORE)


def test_an_empty_archive_is_refused():
    with pytest.raises(ConfigError, match="no architecture was evaluated"):
        select([], below(10), NO_MORE)


@given(record_lists, latencies, st.floats(1.0, 2.0), st.lists(factors, min_size=12, max_size=12))
def test_with_a_margin_the_choice_is_that_of_the_lower_limit_and_the_budget_stays_as_it_was_given(
    records, most, margin, noise
):
    truth = {each.digest: latency(each.arch) * factor for each, factor in zip(records, noise, strict=False)}
    given = [*below(most), limit("flops_g", 1e-3)]
    lower = [*below(most / margin), limit("flops_g", 1e-3)]
    config = replace(NO_MORE, latency_margin=margin)
    try:
        expected = select(records, lower, NO_MORE, measured_as(truth))
    except ConfigError as refusal:
        with pytest.raises(ConfigError) as error:
            select(records, given, config, measured_as(truth))
        assert error.value.key == refusal.key and error.value.value == next(
            each.given for each in given if each.key == refusal.key
        )
        return
    choice = select(records, given, config, measured_as(truth))
    assert (choice.record, choice.measured) == (expected.record, expected.measured)
    assert choice.limits == tuple(given)


def test_a_refusal_with_a_margin_names_the_limit_that_is_enough_with_it():
    far = record(0, 2.0, 11.0)
    config = replace(NO_MORE, latency_margin=1.2)
    with pytest.raises(
        ConfigError, match=r"latency_ms=10: .*that is 13\.2 ms with select\.latency_margin=1\.2"
    ) as error:
        select([far], below(10), config)
    enough = float(re.search(r"Raise latency_ms to ([\d.]+) or more", error.value.hint)[1])
    assert select([far], below(enough), config).record is far


def test_the_json_form_holds_the_choice_the_budget_and_the_reasons():
    doubtful, certain = record(0, 1.0, 10.0, 0.2), record(1, 2.0, 5.0, 0.2)
    measure = measured_as({doubtful.digest: 10.0})
    form = json.loads(json.dumps(select([doubtful, certain], below(11), NO_MORE, measure).to_dict()))
    assert Architecture.from_dict(form["architecture"]) == doubtful.arch
    assert form["digest"] == doubtful.digest
    assert form["costs"]["latency_ms"] == form["measured"][doubtful.digest] == [10.0, 9.8, 10.2]
    assert form["budget"] == [
        {"cost": "latency_ms", "max": 11, "max_ratio": None, "device": "cpu-1t", "quantile": 0.95}
    ]
    assert [each["digest"] for each in form["runner_ups"]] == [certain.digest]
    assert form["reasons"][-1] == (
        f"Chosen: {doubtful.digest}, loss 1.0000, the best that keeps the budget; 10 ms measured (limit 11)."
    )


def test_what_was_measured_before_stands_for_the_prediction():
    fast, slow = record(0, 2.0, 9.0, 0.1), record(1, 3.0, 3.0, 0.1)
    assert select([fast, slow], below(5.0), NO_MORE).record == slow
    known = {fast.digest: Estimate(4.0, 3.9, 4.1)}
    assert select([fast, slow], below(5.0), NO_MORE, known=known).record == fast
    assert select([fast, slow], below(5.0), NO_MORE, known={slow.digest: Estimate(3.0, 3.0, 3.0)}).record == slow


def test_what_was_measured_before_is_not_measured_again():
    calls = []
    records = [record(0, 2.0, 5.0, 0.1), record(1, 3.0, 3.0, 0.1)]
    known = {records[0].digest: Estimate(5.5, 5.4, 5.6)}
    select(records, below(5.0), NO_MORE, measured_as({records[1].digest: 3.0}, calls), known=known)
    assert calls == [records[1].digest]


def test_a_budget_is_not_given_up_while_something_doubtful_is_unmeasured():
    records = [record(index, 2.0 + index, 6.0 - 0.1 * index, 0.3) for index in range(6)]
    truth = {each.digest: 5.5 for each in records} | {records[5].digest: 4.5}
    choice = select(records, below(5.0), SelectConfig(near=0, measure=1), measured_as(truth))
    assert choice.record == records[5]
    with pytest.raises(ConfigError, match="no evaluated architecture keeps the budget"):
        select(
            records, below(5.0), SelectConfig(near=0, measure=1), measured_as({each.digest: 5.5 for each in records})
        )


def refitting(factor, calls):
    """A predictor that learns that everything takes `factor` times as long, without a doubt."""

    def refit(measured, records):
        calls.append(dict(measured))
        return [
            replace(each, costs={"latency_ms": Estimate(*[each.costs["latency_ms"].mean * factor] * 3)})
            for each in records
        ]

    return refit


def test_what_was_doubtful_and_measured_refits_the_predictor_which_then_decides():
    doubtful, slower, certain = record(0, 1.0, 10.0, 0.2), record(1, 2.0, 11.5, 0.2), record(2, 3.0, 5.0, 0.2)
    truth = {doubtful.digest: 12.0, slower.digest: 10.0, certain.digest: 4.0}
    records, calls = [doubtful, slower, certain], []
    config = SelectConfig(near=0, measure=1, refits=1)
    without = select(records, below(11), config, measured_as(truth))
    assert without.record is certain
    choice = select(records, below(11), config, measured_as(truth), refit=refitting(0.9, calls))
    assert choice.record.digest == slower.digest
    assert [set(each) for each in calls] == [{doubtful.digest, certain.digest}]
    assert set(choice.measured) == set(truth)
    assert choice.refitted == {each.digest: Estimate(*[each.costs["latency_ms"].mean * 0.9] * 3) for each in records}
    assert not without.refitted and "refitted" not in without.to_dict()
    assert sum("Fitted the predictor again" in reason for reason in choice.reasons) == 1


@pytest.mark.parametrize("refits", [0, 1, 2, 5])
def test_the_predictor_is_refitted_at_most_so_often_and_only_after_a_doubt(refits):
    records = [record(index, 1.0 + index, 10.0, 0.2) for index in range(12)] + [record(20, 99.0, 1.0)]
    truth = {each.digest: 11.5 for each in records[:-1]} | {records[-1].digest: 1.0}
    calls = []

    def same(measured, given):
        calls.append(dict(measured))
        return given

    config = SelectConfig(near=0, measure=4, refits=refits)
    select(records, below(11), config, measured_as(truth), refit=same)
    assert len(calls) == min(refits, 3)  # 12 doubtful ones, 4 a walk: the fourth walk finds no doubt
    assert [len(each) for each in calls] == [5, 9, 13][:refits]  # what was chosen is measured too


def test_the_search_goes_on_after_a_refit_and_hears_what_is_known_of_costs_now():
    doubtful, certain = record(0, 1.0, 10.0, 0.2), record(1, 3.0, 5.0, 0.2)
    better = record(2, 2.0, 8.0)
    truth = {doubtful.digest: 12.0, certain.digest: 4.0, better.digest: 8.0}
    heard = []

    def continue_search(evaluations, records):
        heard.append({each.digest: each.costs["latency_ms"] for each in records})
        return [*records, better]

    config = SelectConfig(near=0, measure=1, refits=1, extra_evaluations=1)
    choice = select(
        [doubtful, certain], below(11), config, measured_as(truth), continue_search, refit=refitting(2.0, [])
    )
    assert choice.record is better
    assert heard == [
        {doubtful.digest: Estimate(12.0, 12.0 * 0.98, 12.0 * 1.02), certain.digest: Estimate(4.0, 3.92, 4.08)}
    ]
    choice = select(
        [doubtful, certain], below(11), replace(config, measure=0), measured_as(truth), continue_search,
        refit=refitting(2.0, []),
    )  # fmt: skip
    assert len(heard) == 1  # nothing doubtful was measured
