import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.errors import AutoMoEError
from automoe.predictor import MIN_ROWS, fit_report, make_predictor
from tests.predictor.samples import HEADS, architectures, latency_ms, measured


def report(kind, count=40, noise=0.02, values=None):
    archs, latencies = measured(count, noise)
    return fit_report(lambda: make_predictor(kind, 0.9), archs, latencies if values is None else values, 10, 1)


def test_the_numbers_are_those_of_the_rows():
    fit = report("ridge")
    measured_N, predicted_N = np.array(fit.measured), np.array(fit.predicted)
    assert fit.rmse == pytest.approx(np.sqrt(((predicted_N - measured_N) ** 2).mean()))
    assert fit.mape == pytest.approx(100 * (np.abs(predicted_N - measured_N) / measured_N).mean())
    inside_N = (np.array(fit.lower) <= measured_N) & (measured_N <= np.array(fit.upper))
    assert fit.coverage == inside_N.mean()
    ranks = np.corrcoef(np.argsort(np.argsort(measured_N)), np.argsort(np.argsort(predicted_N)))[0, 1]
    assert fit.spearman == pytest.approx(ranks)
    assert fit.measured == measured(40, 0.02)[1].tolist()
    assert fit.digests == [arch.digest for arch in measured(40, 0.02)[0]]
    assert json.loads(json.dumps(fit.to_dict())) == fit.to_dict()


def test_a_row_does_not_shape_its_own_prediction():
    archs, values_N = measured(40, 0.02)
    fit = report("ridge")
    changed_N = values_N.copy()
    changed_N[5] *= 3
    again = fit_report(lambda: make_predictor("ridge", 0.9), archs, changed_N, 10, 1)
    assert again.predicted[5] == fit.predicted[5] and again.upper[5] == fit.upper[5]
    assert again.predicted != fit.predicted


def test_ridge_orders_architectures_of_equal_depth_and_the_lookup_does_not():
    ridge, lookup = report("ridge"), report("depth_lookup")
    assert ridge.spearman_within_depth > 0.8
    assert lookup.spearman_within_depth == 0.0
    assert lookup.spearman > 0.7
    assert ridge.mape < lookup.mape and ridge.rmse < lookup.rmse


def test_without_three_rows_of_a_depth_nothing_is_said_about_order_within_depths():
    archs = architectures(300)
    by_depth = {depth: [a for a in archs if len(a.decoder.layers) == depth][:2] for depth in (1, 2, 3)}
    few = [arch for same in by_depth.values() for arch in same]
    fit = fit_report(lambda: make_predictor("ridge", 0.5, folds=3), few, [latency_ms(a) for a in few], 3, 1)
    assert fit.spearman_within_depth is None


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["ridge", "depth_lookup", "sizes"]), st.data())
def test_few_rows_are_cross_validated_even_if_a_part_of_them_has_equal_values(kind, data):
    count = data.draw(st.integers(MIN_ROWS, 12))
    values = data.draw(st.lists(st.sampled_from([1.0, 2.0, 5.0]), min_size=count, max_size=count))
    values[:2] = [1.0, 2.0]  # not all are equal
    fit = fit_report(lambda: make_predictor(kind, 0.9), architectures(count), values, 10, 1)
    measured_N, lower_N, upper_N = np.array(fit.measured), np.array(fit.lower), np.array(fit.upper)
    assert fit.coverage == np.mean((lower_N <= measured_N) & (measured_N <= upper_N))
    assert (lower_N > 0).all() and json.loads(json.dumps(fit.to_dict(), allow_nan=False)) == fit.to_dict()


@pytest.mark.parametrize("kind", ["ridge", "depth_lookup"])
def test_architectures_that_differ_in_no_feature_are_all_predicted_alike(kind):
    archs, values = architectures(9, space=HEADS), np.linspace(1, 2, 9)
    fit = fit_report(lambda: make_predictor(kind, 0.9), archs, values, 10, 1)
    np.testing.assert_allclose(fit.predicted, (values.sum() - values) / 8)  # each by the mean of the others
    assert fit.spearman_within_depth == 0.0


def test_intervals_of_few_rows_hold_most_of_what_they_have_not_seen():
    shares = []
    for seed in range(12):
        archs, values_N = measured(8, 0.05, seed)
        shares.append(fit_report(lambda: make_predictor("ridge", 0.9), archs, values_N, 10, 1).coverage)
    assert np.mean(shares) > 0.85


@pytest.mark.parametrize(
    "count, values, message", [(2, None, "too few .* at least 3"), (20, np.ones(20), "there is nothing to predict")]
)
def test_too_little_to_learn_from_is_refused(count, values, message):
    with pytest.raises(AutoMoEError, match=message):
        report("ridge", count=count, values=values)
