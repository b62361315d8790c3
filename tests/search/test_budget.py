import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import ConfigError
from automoe.pipeline.manifest import plain
from automoe.search import (
    COSTS,
    Estimate,
    Limit,
    check_feasible,
    parse_budget,
    parse_budgets,
    resolve,
    space_begins,
    used_share,
)
from tests.search.analytic import CODEC, SPACE, limit, predict_costs, true_costs

maxima = st.floats(1e-3, 1e6)
budgets = st.dictionaries(st.sampled_from(sorted(COSTS)), maxima, min_size=1)


@given(budgets)
def test_short_long_and_list_form_are_one_budget(budget):
    long = {cost: {"max": most} for cost, most in budget.items()}
    listed = [{"cost": cost, "max": most} for cost, most in budget.items()]
    assert parse_budget(budget) == parse_budget(long) == parse_budget(listed)
    assert [(each.cost, each.max) for each in parse_budget(budget)] == list(budget.items())


def test_a_null_is_no_limit_and_no_value():
    assert parse_budget({"latency_ms": None, "flops_g": 1}) == (Limit(cost="flops_g", max=1),)
    assert parse_budget({"latency_ms": {"max": 15, "max_ratio": None}}) == (Limit(cost="latency_ms", max=15),)


def test_a_latency_limit_takes_its_device_and_quantile():
    (found,) = parse_budget([{"cost": "latency_ms", "max": 15, "device": "cpu-1t", "quantile": 0.95}])
    assert found == Limit(cost="latency_ms", max=15, device="cpu-1t", quantile=0.95)


@pytest.mark.parametrize("device", [*(f"cpu-{threads}t" for threads in (1, 2, 16, 256)), "cuda"])
def test_a_latency_limit_is_meant_for_a_cpu_with_its_threads_or_for_a_gpu(device):
    (found,) = parse_budget({"latency_ms": {"max": 15, "device": device}})
    assert str(found.device) == device
    with pytest.raises(ConfigError, match=rf"bound\) on {device}\."):
        check_feasible(resolve([found], {}), {"latency_ms": (16.0, "")}, "mine")


@pytest.mark.parametrize(
    "device",
    ["cpu-0t", "cpu-01t", "cpu-257t", "cpu-1000t", "cpu-t", "cpu--1t", "cpu-1t ", "cpu-²t", "gpu", "", 4, True],
)
def test_what_is_no_device_is_refused_with_what_is(device):
    with pytest.raises(
        ConfigError, match=r"is not measured \(allowed: cpu-Nt for N threads \(1 to 256\), cuda\)"
    ) as error:
        parse_budget({"latency_ms": {"max": 15, "device": device}})
    assert error.value.key == "budget.latency_ms.device"


@pytest.mark.parametrize(
    ("budget", "key", "words"),
    [
        ({"latency": 15}, "budget.latency", "Did you mean 'latency_ms'"),
        ({"latency_ms": "15 ms"}, "budget.latency_ms", "is not a number"),
        ({"latency_ms": True}, "budget.latency_ms", "is not a number"),
        ({"latency_ms": math.nan}, "budget.latency_ms", "is not a number"),
        ({"latency_ms": math.inf}, "budget.latency_ms", "is not a number"),
        ({"latency_ms": [15]}, "budget.latency_ms", "is not a number"),
        ({"latency_ms": 0}, "budget.latency_ms", "allowed: > 0"),
        ({"params_m": {"max": -8}}, "budget.params_m", "allowed: > 0"),
        ({"flops_g": 3e9}, "budget.flops_g", r"The unit is 10\^9 FLOPs: 3,000,000,000 FLOPs are 3"),
        ({"params_m": 8_000_000}, "budget.params_m", r"The unit is 10\^6 parameters: 8,000,000 parameters are 8"),
        ({"latency_ms": {"quantile": 0.9}}, "budget.latency_ms", "neither max nor max_ratio"),
        ({"latency_ms": {"max": 15, "max_ratio": 0.6}}, "budget.latency_ms", "both max and max_ratio"),
        ({"latency_ms": {"max_ratio": 1.2}}, "budget.latency_ms.max_ratio", "0 < ratio < 1"),
        ({"latency_ms": {"max_ratio": 0}}, "budget.latency_ms.max_ratio", "0 < ratio < 1"),
        ({"latency_ms": {"max_ratio": "60 %"}}, "budget.latency_ms.max_ratio", "is not a number"),
        ({"latency_ms": {"max": 15, "quantile": 90}}, "budget.latency_ms.quantile", "quantile < 1"),
        ({"latency_ms": {"max": 15, "quantile": 0.0}}, "budget.latency_ms.quantile", "quantile < 1"),
        ({"latency_ms": {"max": 15, "device": "cpu"}}, "budget.latency_ms.device", "Did you mean 'cpu-1t'"),
        ({"latency_ms": {"max": 15, "device": "cuda:0"}}, "budget.latency_ms.device", "Did you mean 'cuda'"),
        ({"latency_ms": {"maximum": 15}}, "budget.latency_ms.maximum", "Did you mean 'max'"),
        ({"params_m": {"max": 8, "quantile": 0.9}}, "budget.params_m.quantile", "computed exactly"),
        ({}, "budget", "is empty"),
        ([], "budget", "is empty"),
        ({"latency_ms": None}, "budget", "is empty"),
        (15, "budget", "neither a mapping nor a list"),
        ("latency_ms: 15", "budget", "neither a mapping nor a list"),
        ([{"max": 15}], r"budget[0].cost", "is missing"),
        ([15], "budget[0]", "is not a mapping"),
        ([{"cost": "flops_g", "max": 1}, {"cost": "flops_g", "max": 2}], "budget.flops_g", "is given twice"),
    ],
)
def test_a_mistake_is_named_by_its_key(budget, key, words):
    with pytest.raises(ConfigError, match=words) as error:
        parse_budget(budget)
    assert error.value.key == key


@pytest.mark.parametrize(
    ("budget", "key"),
    [
        ({"latency": 15}, "search.within.latency"),
        ({"latency_ms": 0}, "search.within.latency_ms"),
        ({"latency_ms": {"max": 15, "quantile": 90}}, "search.within.latency_ms.quantile"),
        ({"latency_ms": {"maximum": 15}}, "search.within.latency_ms.maximum"),
        ({}, "search.within"),
        (15, "search.within"),
        ([15], "search.within[0]"),
        ([{"cost": "flops_g", "max": 1}, {"cost": "flops_g", "max": 2}], "search.within.flops_g"),
    ],
)
def test_the_mistakes_of_another_budget_are_named_by_its_key(budget, key):
    with pytest.raises(ConfigError) as error:
        parse_budget(budget, "search.within")
    assert error.value.key == key


def test_a_limit_that_cannot_be_met_is_named_where_it_was_given():
    resolved = resolve(parse_budget({"flops_g": {"max_ratio": 0.1}}, "search.within"), {"flops_g": 5.0})
    with pytest.raises(ConfigError) as error:
        check_feasible(resolved, {"flops_g": (0.75, "decoder.layers starts at 2")}, "mine")
    assert error.value.key == "search.within.flops_g.max_ratio"


def test_where_a_budget_was_given_is_no_part_of_what_a_result_depends_on():
    one, other = (parse_budget({"flops_g": 1}, key) for key in ("budget", "search.within"))
    assert plain(one) == plain(other)


@pytest.mark.parametrize(
    ("budget", "least", "words"),
    [
        ({"latency_ms": 0.015}, 2.7, "The unit is milliseconds per sentence: if 0.015 seconds are meant, give 15. "),
        ({"flops_g": 0.001}, 0.1, "The unit is 10^9 FLOPs. "),
        ({"latency_ms": 2.5}, 2.7, ""),
        ({"latency_ms": {"max_ratio": 0.001}}, 2.7, ""),
    ],
)
def test_a_limit_far_below_everything_is_answered_with_its_unit(budget, least, words):
    (cost,) = budget
    with pytest.raises(ConfigError, match="takes at least") as error:
        check_feasible(resolve(parse_budget(budget), {cost: 5.0}), {cost: (least, "BEGINS")}, "mine")
    assert error.value.hint == f"{words}Raise the budget, or widen the space (BEGINS)"


def test_several_budgets_are_each_read_as_one_and_named_by_their_keys():
    budgets = {"fast": {"latency_ms": 8}, "small": [{"cost": "params_m", "max": 2}]}
    found = parse_budgets(budgets)
    assert {name: plain(limits) for name, limits in found.items()} == {
        name: plain(parse_budget(budget)) for name, budget in budgets.items()
    }
    assert [limit.section for limits in found.values() for limit in limits] == ["budgets.fast", "budgets.small"]
    assert all(parse_budget(limits) == limits for limits in found.values())


def test_a_ratio_is_of_the_largest():
    limits = parse_budget({"latency_ms": {"max_ratio": 0.6}, "params_m": 8})
    resolved = resolve(limits, {"latency_ms": 20.0})
    assert [each.max for each in resolved] == [12.0, 8]
    assert [each.max_ratio for each in resolved] == [0.6, None]


log_errors = st.floats(0.01, 0.5)


@given(st.floats(0.1, 100), log_errors, st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_bounds_are_the_quantiles_of_a_log_normal_error(median, scale, coverage, quantile):
    edge = scale * NormalDist().inv_cdf((1 + coverage) / 2)
    estimate = Estimate(median, median * math.exp(-edge), median * math.exp(edge))
    bound = limit("latency_ms", 1.0, quantile=quantile, coverage=coverage)
    shift = scale * NormalDist().inv_cdf(quantile)
    assert bound.upper(estimate) == pytest.approx(median * math.exp(shift))
    assert bound.lower(estimate) == pytest.approx(median * math.exp(-shift))


@given(st.floats(1e-3, 1e6), st.floats(0.5, 0.99))
def test_a_known_cost_is_its_own_bound(value, quantile):
    bound = limit("flops_g", 1.0, quantile=quantile)
    assert bound.upper(Estimate.exact(value)) == bound.lower(Estimate.exact(value)) == value


def test_the_used_share_is_that_of_the_limit_that_binds_most():
    costs = {"flops_g": Estimate.exact(2.0), "params_m": Estimate.exact(3.0)}
    assert used_share(costs, [limit("flops_g", 4.0), limit("params_m", 4.0)]) == 0.75


def test_a_budget_below_the_minimum_is_refused_with_the_minimum():
    begins = space_begins(SPACE)
    with pytest.raises(ConfigError) as error:
        check_feasible([limit("latency_ms", 2.0)], {"latency_ms": (2.7, begins)}, "quickstart")
    assert str(error.value) == (
        "budget.latency_ms=2.0: cannot be met: the cheapest architecture of space 'quickstart' takes at least 2.7 ms "
        "(lower 90 % bound) on cpu-1t. Raise the budget, or widen the space "
        "(decoder.layers starts at 1, decoder.dim starts at 16, encoder.layers starts at 1, encoder.dim starts at 16)"
    )


def test_a_ratio_below_the_minimum_is_refused_by_the_ratio():
    (resolved,) = resolve(parse_budget({"flops_g": {"max_ratio": 0.1}}), {"flops_g": 5.0})
    with pytest.raises(
        ConfigError, match=r"max_ratio=0\.1: cannot be met, that is 0\.5 GFLOPs.* 0\.7 GFLOPs, 0\.14 of the largest\."
    ):
        check_feasible([resolved], {"flops_g": (0.7, "")}, "x")


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_budget_is_refused_exactly_if_it_is_below_the_minimum(most, least):
    refused = False
    try:
        check_feasible([limit("flops_g", most)], {"flops_g": (least, "")}, "x")
    except ConfigError:
        refused = True
    assert refused == (most < least)


def test_units_are_those_of_the_names():
    arch = SPACE.largest()
    found = {name: interval.mean_N for name, interval in predict_costs([arch]).items()}
    assert set(found) == set(COSTS)
    costs = true_costs(arch)
    weights = costs["params_m"] * 1e6
    assert costs["memory_mb"] * 1e6 == pytest.approx(4 * weights)
    assert weights == round(weights) and 0 < costs["flops_g"] < 1
    np.testing.assert_array_equal(CODEC.encode(arch), CODEC.encode(CODEC.decode(CODEC.encode(arch))))
