import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.errors import ConfigError, DataError
from automoe.evaluation import FidelityConfig, depth_then, kendall_tau_b, rank_fidelity, spearman
from automoe.evaluation.fidelity import EQUAL_DEPTH, OVERALL, _estimate
from automoe.evaluation.pair_statistics import ACCURACY, CLEAR_ACCURACY, KENDALL, SPEARMAN, statistics_of

SCOPES = (OVERALL, EQUAL_DEPTH)
QUICK = FidelityConfig(resamples=100)
CORRELATIONS = {KENDALL: kendall_tau_b, SPEARMAN: spearman}
PANELS = st.lists(
    st.tuples(st.integers(-9, 9), st.integers(-4, 4), st.integers(1, 3)), min_size=4, max_size=12
)  # truth, candidate, depth
few = settings(max_examples=40, deadline=None)


def judge(truth_N, candidates, depth_N=None, config=QUICK, **more):
    depth_N = np.ones(len(truth_N)) if depth_N is None else depth_N
    return rank_fidelity([[float(value)] for value in truth_N], candidates, depth_N, config=config, **more)


def value(fidelity, candidate, scope, statistic):
    return fidelity.row(candidate, scope, statistic).estimate.value


def panel(architectures=24, seed=0):
    rng = np.random.default_rng(seed)
    truth_N = rng.standard_normal(architectures)
    return truth_N, truth_N + rng.standard_normal(architectures), rng.integers(1, 4, architectures)


def accuracy_pair_by_pair(truth_N, candidate_N, depth_N=None):
    marks = [
        (1 + np.sign(truth_N[i] - truth_N[j]) * np.sign(candidate_N[i] - candidate_N[j])) / 2
        for i in range(len(truth_N))
        for j in range(i)
        if truth_N[i] != truth_N[j] and (depth_N is None or depth_N[i] == depth_N[j])
    ]
    return sum(marks) / len(marks) if marks else math.nan


@few
@given(PANELS)
def test_correlations_overall_are_those_of_all_architectures(drawn):
    truth_N, candidate_N, _ = np.array(drawn, dtype=float).T
    fidelity = judge(truth_N, {"it": candidate_N})
    for name, statistic in CORRELATIONS.items():
        expected = statistic(truth_N, candidate_N) if np.ptp(truth_N) else math.nan
        assert value(fidelity, "it", OVERALL, name) == pytest.approx(expected, nan_ok=True)


@few
@given(PANELS, st.integers(0, 9))
def test_statistics_of_a_resample_are_those_of_its_architectures_written_out(drawn, seed):
    truth_N, candidate_N, _ = np.array(drawn, dtype=float).T
    chosen_N = np.random.default_rng(seed).integers(len(drawn), size=len(drawn))
    counts_1N = np.bincount(chosen_N, minlength=len(drawn)).astype(float)[None]
    all_NN = np.ones((len(drawn), len(drawn)), dtype=bool)
    found = statistics_of(truth_N, candidate_N, counts_1N, pairs_NN=all_NN)
    written_N, told_N = truth_N[chosen_N], candidate_N[chosen_N]
    for name, statistic in CORRELATIONS.items():
        expected = statistic(written_N, told_N) if np.ptp(written_N) else math.nan
        assert found[name][0] == pytest.approx(expected, nan_ok=True)
    assert found[ACCURACY][0] == pytest.approx(accuracy_pair_by_pair(written_N, told_N), nan_ok=True)


@few
@given(PANELS)
def test_accuracy_is_the_share_of_pairs_ordered_alike_ties_of_the_candidate_counting_half(drawn):
    truth_N, candidate_N, depth_N = np.array(drawn, dtype=float).T
    fidelity = judge(truth_N, {"it": candidate_N}, depth_N)
    for scope, depths_N in ((OVERALL, None), (EQUAL_DEPTH, depth_N)):
        expected = accuracy_pair_by_pair(truth_N, candidate_N, depths_N)
        assert value(fidelity, "it", scope, ACCURACY) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_perfect_ranking_is_1_a_reversed_one_mirrors_it_and_a_constant_one_knows_nothing(scope):
    truth_N, candidate_N, depth_N = panel()
    candidates = {"perfect": np.exp(truth_N), "it": candidate_N, "reversed": -candidate_N, "constant": 0 * truth_N}
    fidelity = judge(truth_N, candidates, depth_N, noise=0.1)
    for statistic, none in ((KENDALL, 0.0), (SPEARMAN, 0.0), (ACCURACY, 0.5), (CLEAR_ACCURACY, 0.5)):
        ours = value(fidelity, "it", scope, statistic)
        assert value(fidelity, "perfect", scope, statistic) == 1
        assert value(fidelity, "reversed", scope, statistic) - none == pytest.approx(none - ours)
        assert value(fidelity, "constant", scope, statistic) == none
        constant = fidelity.row("constant", scope, statistic).estimate
        assert constant.lower == constant.upper == none


def test_statistics_at_equal_depth_do_not_see_pairs_across_depths():
    truth_N, candidate_N, depth_N = panel()
    before = judge(truth_N, {"it": candidate_N}, depth_N, noise=0.1)
    rng = np.random.default_rng(1)
    far = {depth: 100 * rng.standard_normal(2) for depth in np.unique(depth_N)}
    moved = np.array([far[depth] for depth in depth_N]).T
    after = judge(truth_N + moved[0], {"it": candidate_N + moved[1]}, depth_N, noise=0.1)
    for statistic in (KENDALL, SPEARMAN, ACCURACY, CLEAR_ACCURACY):
        assert after.row("it", EQUAL_DEPTH, statistic) == before.row("it", EQUAL_DEPTH, statistic)
        assert after.row("it", OVERALL, statistic) != before.row("it", OVERALL, statistic)


@few
@given(PANELS)
def test_at_one_depth_equal_depth_is_all_there_is(drawn):
    truth_N, candidate_N, _ = np.array(drawn, dtype=float).T
    rows = judge(truth_N, {"it": candidate_N}, noise=1.0).to_rows()
    overall, equal_depth = ([row | {"scope": ""} for row in rows if row["scope"] == scope] for scope in SCOPES)
    assert overall == equal_depth


def test_pairs_within_noise_are_left_out():
    # 0 and 1 lie within 2 x 0.5 x sqrt(2) of each other, as 10 and 11 do; the candidate has just these wrong.
    fidelity = judge([0, 1, 10, 11], {"it": [1, 0, 3, 2]}, noise=0.5)
    assert value(fidelity, "it", OVERALL, ACCURACY) == pytest.approx(4 / 6)
    assert value(fidelity, "it", OVERALL, CLEAR_ACCURACY) == 1
    assert fidelity.row("it", OVERALL, CLEAR_ACCURACY).pairs == 4


def test_the_noise_is_estimated_from_seeds_and_without_them_no_pair_is_called_clear():
    runs = [[0, 1], [2, 3], [20, 21], [22, 23]]
    seeded = rank_fidelity(runs, {"it": [1, 0, 3, 2]}, [1] * 4, config=QUICK)
    assert seeded.noise == pytest.approx(0.5**0.5)
    assert seeded.trainings == 8
    assert seeded.row("it", OVERALL, CLEAR_ACCURACY).pairs == 6  # 2 > 2 x sqrt(0.5): all of them
    rougher = rank_fidelity(runs, {"it": [1, 0, 3, 2]}, [1] * 4, noise=1.1, config=QUICK)
    assert rougher.row("it", OVERALL, CLEAR_ACCURACY).pairs == 4
    single = judge([0, 2, 20, 22], {"it": [1, 0, 3, 2]})
    assert single.noise is None
    assert CLEAR_ACCURACY not in {row.statistic for row in single.rows}


def test_pairs_whose_order_the_truth_does_not_tell_count_in_no_accuracy():
    fidelity = judge([1, 1, 2, 3], {"it": [9, 0, 10, 11]})
    assert value(fidelity, "it", OVERALL, ACCURACY) == 1
    assert fidelity.row("it", OVERALL, ACCURACY).pairs == 5


def test_depth_and_parameters_order_by_depth_first():
    depth_N, params_N = [2, 1, 2, 1, 1], [5, 9, 4, 7, 7]
    places_N = depth_then(depth_N, params_N)
    assert places_N.tolist() == [3, 1, 2, 0, 0]
    truth_N, _, depths_N = panel()
    params = np.random.default_rng(2).standard_normal(24)
    fidelity = judge(truth_N, {"both": depth_then(depths_N, params), "params": params}, depths_N)
    for statistic in (KENDALL, SPEARMAN, ACCURACY):
        both, alone = (value(fidelity, name, EQUAL_DEPTH, statistic) for name in ("both", "params"))
        assert both == alone


def test_an_interval_leaves_equally_many_resamples_on_both_sides_and_does_not_see_those_without_a_value():
    resampled = np.random.default_rng(0).permutation([*range(101), math.nan])
    estimate = _estimate(np.array([1000.0, *resampled]), coverage=0.9)
    assert (estimate.value, estimate.lower, estimate.upper) == pytest.approx((1000, 5, 95))


def test_intervals_hold_the_truth_about_as_often_as_promised():
    rho, trials, rng = 0.8, 150, np.random.default_rng(5)
    truths = {  # of two normal variables with this correlation
        KENDALL: 2 / math.pi * math.asin(rho),
        SPEARMAN: 6 / math.pi * math.asin(rho / 2),
        ACCURACY: 0.5 + math.asin(rho) / math.pi,
    }
    held = dict.fromkeys([*truths, "difference"], 0)
    for trial in range(trials):
        truth_N, *noise_2N = rng.standard_normal((3, 30))
        ours_N, theirs_N = (rho * truth_N + math.sqrt(1 - rho**2) * noise_N for noise_N in noise_2N)
        config = FidelityConfig(resamples=200, coverage=0.9, seed=trial)
        fidelity = judge(truth_N, {"ours": ours_N, "theirs": theirs_N}, config=config, baselines=["theirs"])
        for statistic, expected in truths.items():
            estimate = fidelity.row("ours", OVERALL, statistic).estimate
            held[statistic] += estimate.lower <= expected <= estimate.upper
        difference = fidelity.row("ours", OVERALL, ACCURACY).above["theirs"]
        held["difference"] += difference.lower <= 0 <= difference.upper
    # 90 % of 150, whose deviation is 2.4 %: four of them, so that only a wrong interval fails.
    assert all(0.8 <= times / trials < 1 for times in held.values()), held


def test_the_interval_of_a_difference_is_paired():
    truth_N, candidate_N, depth_N = panel(60)
    twin_N = candidate_N.copy()
    order = np.argsort(candidate_N)
    twin_N[order[:2]] = twin_N[order[1::-1]]  # two neighbours exchanged
    fidelity = judge(truth_N, {"it": candidate_N, "twin": twin_N, "same": candidate_N}, depth_N, baselines=["it"])
    alone, above = (
        fidelity.row("twin", OVERALL, KENDALL).estimate,
        fidelity.row("twin", OVERALL, KENDALL).above["it"],
    )
    assert above.value == pytest.approx(alone.value - value(fidelity, "it", OVERALL, KENDALL))
    assert above.upper - above.lower < 0.1 * (alone.upper - alone.lower)
    assert fidelity.row("same", OVERALL, KENDALL).above["it"].upper == 0
    assert fidelity.row("it", OVERALL, KENDALL).above == {}


def test_same_seed_same_interval_another_seed_another_one_but_the_same_value():
    truth_N, candidate_N, depth_N = panel()
    first, again, other = (
        judge(truth_N, {"it": candidate_N}, depth_N, config=FidelityConfig(resamples=100, seed=seed))
        for seed in (3, 3, 4)
    )
    assert first == again
    estimates = [fidelity.row("it", OVERALL, KENDALL).estimate for fidelity in (first, other)]
    assert estimates[0].value == estimates[1].value
    assert estimates[0] != estimates[1]


def test_a_candidate_is_judged_alike_whatever_stands_beside_it():
    truth_N, candidate_N, depth_N = panel()
    alone = judge(truth_N, {"it": candidate_N}, depth_N)
    beside = judge(truth_N, {"other": -truth_N, "it": candidate_N}, depth_N)
    assert [row for row in beside.rows if row.candidate == "it"] == list(alone.rows)


def test_more_coverage_makes_intervals_wider():
    truth_N, candidate_N, depth_N = panel()
    wide, narrow = (
        judge(truth_N, {"it": candidate_N}, depth_N, config=FidelityConfig(coverage=coverage)).rows
        for coverage in (0.99, 0.8)
    )
    for outer, inner in zip(wide, narrow, strict=True):
        assert outer.estimate.lower < inner.estimate.lower < inner.estimate.upper < outer.estimate.upper


def test_a_panel_without_two_of_one_depth_says_nothing_at_equal_depth():
    fidelity = judge([1, 2, 3, 4], {"it": [1, 2, 3, 4]}, [1, 2, 3, 4], baselines=["it"])
    row = fidelity.row("it", EQUAL_DEPTH, KENDALL)
    assert row.pairs == 0
    assert all(map(math.isnan, (row.estimate.value, row.estimate.lower, row.estimate.upper)))
    assert value(fidelity, "it", OVERALL, KENDALL) == 1
    assert '"value": null' in json.dumps(fidelity.to_rows(), allow_nan=False)


def test_the_best_baseline_is_the_highest_and_tables_compare_with_it():
    truth_N, candidate_N, depth_N = panel()
    candidates = {"it": candidate_N, "bad": -truth_N, "good": truth_N}
    fidelity = judge(truth_N, candidates, depth_N, baselines=["bad", "good"])
    assert fidelity.best_baseline(OVERALL, ACCURACY) == "good"
    flat = next(row for row in fidelity.to_rows() if row["candidate"] == "it" and row["statistic"] == ACCURACY)
    row = fidelity.row("it", OVERALL, ACCURACY)
    assert (flat["best_baseline"], flat["above_best_value"]) == ("good", row.above["good"].value)
    lines = fidelity.to_markdown(OVERALL).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| it", "| bad", "| good"]
    assert len({line.count("|") for line in lines}) == 1
    assert f"| {row.estimate} | {row.above['good']} |" in lines[2]


@pytest.mark.parametrize(
    "truth, candidates, depth, more, message",
    [
        ([1, 2, 3], {"it": [1, 2, 3]}, [1] * 3, {}, "3 architectures"),
        ([1, 2, 3, 4], {}, [1] * 4, {}, "nothing that ranks"),
        ([1, 2, 3, 4], {"it": [1, 2, 3]}, [1] * 4, {}, "it: .*shape"),
        ([1, 2, 3, 4], {"it": [1, 2, 3, math.nan]}, [1] * 4, {}, "it: .*NaN"),
        ([1, 2, 3, 4], {"it": [1, 2, 3, 4]}, [1] * 5, {}, "depth: .*shape"),
        ([1, 2, 3, math.inf], {"it": [1, 2, 3, 4]}, [1] * 4, {}, r"runs\[3\]"),
        ([1, 2, 3, 4], {"depth": [1, 2, 3, 4]}, [1] * 4, {"baselines": ["dept"]}, "Did you mean 'depth'"),
        ([1, 2, 3, 4], {"it": [1, 2, 3, 4]}, [1] * 4, {"noise": -1.0}, "noise=-1.0"),
    ],
)
def test_what_cannot_be_judged_is_refused(truth, candidates, depth, more, message):
    with pytest.raises(DataError, match=message):
        judge(truth, candidates, depth, **more)


@pytest.mark.parametrize("wrong", [{"coverage": 1.0}, {"resamples": 99}, {"clear_beyond": -1.0}, {"seed": -1}])
def test_settings_that_mean_nothing_are_refused(wrong):
    (key,) = wrong
    with pytest.raises(ConfigError, match=rf"fidelity\.{key}="):
        FidelityConfig(**wrong)
