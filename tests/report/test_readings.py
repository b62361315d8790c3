"""Every sentence of the page follows from the data."""

from dataclasses import replace

import pytest

from automoe.report import BudgetLine, readings
from automoe.report.front_figure import drawn_costs, staircase
from tests.architectures import architecture, decoder_layer, encoder_layer
from tests.report.reports import DENSE, REPORT, changed, chosen, points

LATENCY = REPORT.budgets[0]


def headline(**fields):
    return readings.headline(changed(**fields)).replace("\u00a0", " ")


def test_the_headline_says_what_was_asked_and_what_was_found():
    assert headline() == (
        "quickstart: a model of 1.83 M parameters keeps the budget of 12.3 ms (60 % of the largest): "
        "11.4 ms a sentence, 31.0 BLEU."
    )


def test_a_budget_that_the_model_breaks_is_said_to_be_missed():
    strict = BudgetLine(cost="flops_g", max=0.05, text="0.05 GFLOPs")
    assert "misses the budget of 0.05 GFLOPs: 11.4 ms a sentence, 0.0871 GFLOPs" in headline(
        budgets=[LATENCY, strict]
    )
    assert "keeps the budgets of 12.3 ms (60 % of the largest) and 1 GFLOPs" in headline(
        budgets=[LATENCY, replace(strict, max=1.0, text="1 GFLOPs")]
    )


def test_a_budget_of_which_nothing_is_known_is_not_said_to_be_kept():
    text = headline(budgets=[BudgetLine(cost="memory_mb", max=8, text="8 MB")])
    assert "was chosen for the budget of 8 MB" in text and "keeps" not in text


def test_without_a_budget_none_is_mentioned():
    assert headline(budgets=[]) == (
        "quickstart: a model of 1.83 M parameters for no budget: 11.4 ms a sentence, 31.0 BLEU."
    )


@pytest.mark.parametrize(
    ("arch", "loads", "sentence"),
    [
        (DENSE, {}, "The search chose no expert layer"),
        (None, {"encoder 0": [9, 1, 0]}, "1 of 2 layers has experts; test tokens reach 2 of the 3 experts."),
        (None, {"encoder 0": [9, 1, 2]}, "1 of 2 layers has experts; test tokens reach all 3 experts."),
        (
            None,
            {"encoder 0": [0, 10, 0]},
            "test tokens reach a single one: in effect, the search chose no expert layer.",
        ),
        (None, {}, "1 of 2 layers has experts; which of them test tokens reach was not counted."),
    ],
)
def test_experts_are_claimed_only_where_tokens_reach_them(arch, loads, sentence):
    one = architecture(96, [encoder_layer(512, 256, 128, qkv_dim=96)], 96, [decoder_layer(256)])
    assert sentence in readings.experts_reading(changed(chosen=chosen(arch or one, loads)))


def test_shares_are_shares_of_tokens_also_where_each_token_takes_two_experts():
    two = architecture(96, [encoder_layer(512, 256, 128, top_k=2)], 96, [decoder_layer(256)])
    data = changed(chosen=chosen(two, {"encoder 0": [100, 60, 40]}))
    assert "512 (100 % of the tokens), 256 (60 % of the tokens), 128 (40 %" in readings.architecture_text(data)


def test_loads_of_another_number_of_experts_are_refused():
    with pytest.raises(ValueError, match="encoder 0 has 3 experts and 2 loads"):
        readings.experts_reading(changed(chosen=chosen(loads={"encoder 0": [1, 2]})))


def test_the_chosen_point_is_ranked_among_those_that_keep_the_budget():
    assert "has the lowest loss of those that keep the budget" in readings.front_reading(REPORT)
    better = [replace(p, loss=0.1) if p.feasible and not p.chosen else p for p in REPORT.points]
    number = sum(p.feasible for p in better)
    assert f"number {number} by loss of those that keep" in readings.front_reading(changed(points=better))


def test_a_measured_value_outside_its_interval_is_said_to_be_outside():
    far = [replace(p, measured_ms=p.upper_ms * 2) if p.chosen else p for p in REPORT.points]
    assert "outside the predicted" in readings.front_reading(changed(points=far))
    assert "it was not measured" in readings.front_reading(
        changed(points=[replace(p, measured_ms=None) for p in REPORT.points])
    )


def test_intervals_that_hold_are_counted():
    fit = replace(REPORT.predictor, lower_ms=[0.0] * 60, upper_ms=[99.0] * 59 + [0.1])
    assert "59 of 60 intervals" in readings.predictor_reading(fit)


def test_the_step_line_only_falls_and_no_front_point_lies_below_it():
    front = [replace(point, on_front=True) for point in points()]
    corners = staircase(front)
    assert corners == sorted(corners) and [loss for _, loss in corners] == sorted(
        (c[1] for c in corners), reverse=True
    )
    for point in front:
        assert min(loss for cost, loss in corners if cost <= point.latency_ms) <= point.loss


def test_every_budgeted_cost_that_the_points_know_has_a_panel():
    budgets = [BudgetLine(cost=cost, max=1, text="1") for cost in ("params_m", "memory_mb")]
    assert drawn_costs(budgets) == ["latency_ms", "params_m"]
