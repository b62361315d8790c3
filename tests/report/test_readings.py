"""Every sentence of the page follows from the data."""

from dataclasses import replace

import pytest

from automoe.report import BudgetLine, QualityFit, SearchTrace, readings
from automoe.report.front_figure import drawn_costs, staircase
from tests.architectures import architecture, decoder_layer, encoder_layer
from tests.report.reports import DENSE, REPORT, changed, chosen, points

LATENCY = REPORT.budgets[0]


def headline(**fields):
    return readings.headline(changed(**fields)).replace("\u00a0", " ")


def test_the_headline_says_what_was_asked_and_what_was_found():
    assert headline() == (
        "quickstart: a model of 1.83 M parameters keeps the budget of 12.3 ms (60 % of the 20.5 ms that the largest "
        "took in the profile): 11.4 ms a sentence, 31.0 BLEU."
    )


MEMORY = BudgetLine(cost="memory_mb", max=8, text="8 MB", value=9.1, kept=False)


def test_a_budget_that_the_model_breaks_is_said_to_be_broken_in_the_headline_and_beside_the_front():
    both = [LATENCY, MEMORY]
    assert "breaks the budget of 8 MB but keeps the budget of 12.3 ms" in headline(budgets=both)
    assert headline(budgets=both).endswith(": 11.4 ms a sentence, 9.10 MB, 31.0 BLEU.")
    reading = readings.front_reading(changed(budgets=both))
    assert reading.endswith(" The bundle that was made of it breaks the budget of 8 MB: it takes 9.10 MB.")
    kept = [LATENCY, replace(MEMORY, value=7.0, kept=True)]
    assert headline(budgets=kept).count("keeps the budgets of 12.3 ms") == 1 and "and 8 MB:" in headline(budgets=kept)
    assert "break" not in headline(budgets=kept) + readings.front_reading(changed(budgets=kept))


@pytest.mark.parametrize("cost", ["latency_ms", "flops_g", "params_m", "memory_mb"])
def test_the_verdict_is_the_one_that_was_handed_in_for_every_cost(cost):
    for kept in (True, False):  # against the numbers, and of a model whose row knows other ones
        line = BudgetLine(cost=cost, max=5, text="5 of it", value=6.0 if kept else 4.0, kept=kept)
        assert ("keeps the budget of 5 of it" in headline(budgets=[line])) == kept
        assert ("breaks the budget of 5 of it" in headline(budgets=[line])) != kept
        assert kept or "4.00 " in headline(budgets=[line])


def test_a_value_just_beyond_its_budget_never_reads_like_it():
    line = replace(LATENCY, text="12.3 ms", value=12.304, kept=False)
    assert "breaks the budget of 12.3 ms: 12.304 ms a sentence" in headline(budgets=[line])


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


def with_losses(*lower):
    """The points, of which so many others that keep the budget have a lower loss than the chosen one."""
    return [replace(p, loss=0.1) if i in lower else p for i, p in enumerate(REPORT.points)]


def test_the_chosen_point_is_ranked_among_those_that_keep_the_budget():
    def reading(points, **fields):
        return readings.front_reading(changed(points=points, **fields))

    feasible = [i for i, p in enumerate(REPORT.points) if p.feasible and not p.chosen]
    beyond = [i for i, p in enumerate(REPORT.points) if not p.feasible]
    lowest = "The chosen one has the lowest loss of those that keep the budget, "
    assert lowest in reading(REPORT.points) and lowest in reading(with_losses(*beyond))
    assert "of those that keep the budget, 1 has a lower one; measured" in reading(with_losses(feasible[0]))
    assert "of those that keep the budget, 2 have a lower one; measured" in reading(with_losses(*feasible[:2]))
    (loss,) = (p.loss for p in REPORT.points if p.chosen)
    number = sum(p.loss < loss for p in REPORT.points)
    assert f"of all, {number} have a lower one; measured" in reading(REPORT.points, budgets=[])


def test_who_alone_or_not_at_all_keeps_the_budget_is_said_to():
    alone = [replace(p, feasible=p.chosen) for p in REPORT.points]
    reading = readings.front_reading(changed(points=alone))
    assert "and 1 keeps the budget. The chosen one is the only one that keeps the budget; its loss is" in reading
    none = [replace(p, feasible=False, on_front=False) for p in REPORT.points]
    reading = readings.front_reading(changed(points=none))
    assert "none is on the front and none keeps the budget." in reading
    assert "is not among those that keep the budget; measured, it takes" in reading


def test_a_measured_value_outside_its_interval_is_said_to_be_outside():
    far = [replace(p, measured_ms=p.upper_ms * 2) if p.chosen else p for p in REPORT.points]
    assert "outside the predicted" in readings.front_reading(changed(points=far))
    assert "it was not measured" in readings.front_reading(
        changed(points=[replace(p, measured_ms=None) for p in REPORT.points])
    )


def test_intervals_that_hold_are_counted():
    fit = replace(REPORT.predictor, lower_ms=[0.0] * 60, upper_ms=[99.0] * 59 + [0.1])
    assert "59 of 60 intervals" in readings.predictor_reading(fit)


def test_the_best_and_the_worst_that_was_tried_are_said_and_the_noise_only_where_it_is_known():
    reading = readings.errors_reading(replace(REPORT.predictor, name="auto"))
    assert "from ridge over layers 2.40 % to depth lookup 9.80 %." in reading
    assert "auto chose ridge over layers" in reading and "known to within 1.3 % or better" in reading
    quiet = replace(REPORT.predictor, noise_percent=None)
    assert "noise" not in readings.errors_reading(quiet) + readings.learning_reading(quiet)
    assert "chose" not in readings.errors_reading(quiet)


def test_the_learning_curve_says_its_two_ends():
    reading = readings.learning_reading(REPORT.predictor)
    assert "learnt from 12 rows drawn at random, the mean error on the others is 8.10 %; from 48, 2.60 %." in reading


def test_the_search_says_what_its_halves_brought():
    trace = SearchTrace(objectives=["bleu", "latency_ms", "params_m"], hypervolume=[0, 1, 2, 3, 3, 3, 3.5, 4])
    reading = readings.search_reading(trace)
    assert "the volume of BLEU, latency and parameters" in reading
    assert reading.endswith("The first half of the 8 evaluations brought 75 %; the last quarter added 25 %.")


@pytest.mark.parametrize(
    ("volumes", "sentence"),
    [
        ([], "The search evaluated no architecture."),
        ([0.0], "What the search evaluated (1 architecture) spans no volume of loss."),
    ],
)
def test_a_search_without_a_volume_claims_none(volumes, sentence):
    assert sentence in readings.search_reading(SearchTrace(objectives=["loss"], hypervolume=volumes))


def test_the_quality_predictor_s_order_is_said_and_within_depths_only_where_it_is_known():
    fit = QualityFit(name="sizes", quality="bleu", rows=120, spearman=0.914, spearman_within_depth=0.866)
    reading = readings.quality_reading(fit)
    assert "The regressor sizes guesses the BLEU of proposals" in reading
    assert "120 architectures" in reading and "of 0.91 with the truth, and of 0.87 among those" in reading
    assert readings.quality_reading(replace(fit, spearman_within_depth=None)).endswith("of 0.91 with the truth.")
    assert readings.quality_reading(None) == ""


def test_the_step_line_only_falls_and_no_front_point_lies_below_it():
    front = [replace(point, on_front=True) for point in points()]
    corners = staircase(front)
    assert corners == sorted(corners) and [loss for _, loss in corners] == sorted(
        (c[1] for c in corners), reverse=True
    )
    for point in front:
        assert min(loss for cost, loss in corners if cost <= point.latency_ms) <= point.loss


def test_every_budgeted_cost_that_the_points_know_has_a_panel():
    budgets = [BudgetLine(cost=cost, max=1, text="1", value=1, kept=True) for cost in ("params_m", "memory_mb")]
    assert drawn_costs(budgets) == ["latency_ms", "params_m"]
