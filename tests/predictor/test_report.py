import json

import numpy as np
import pytest

from automoe.errors import AutoMoEError
from automoe.predictor import fit_report, make_predictor
from tests.predictor.samples import architectures, latency_ms, measured


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


@pytest.mark.parametrize(
    "count, values, message", [(9, None, "too few for 10 folds"), (20, np.ones(20), "there is nothing to predict")]
)
def test_too_little_to_learn_from_is_refused(count, values, message):
    with pytest.raises(AutoMoEError, match=message):
        report("ridge", count=count, values=values)
