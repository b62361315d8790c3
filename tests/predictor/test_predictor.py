import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.errors import AutoMoEError, ConfigError
from automoe.predictor import MIN_ROWS, Prediction, PredictorConfig, make_predictor, predictor_from_dict
from automoe.predictor.features import Encoder
from automoe.predictor.regressor import REGRESSORS
from automoe.predictor.regressors.depth_lookup import DepthLookup
from automoe.predictor.regressors.ridge import Ridge
from tests.predictor.samples import HEADS, architectures, latency_ms, make, measured

KINDS = ["auto", *REGRESSORS]
SLOW = {"boosting", "mlp", "gaussian_process"}
"""To learn, for tests that learn often."""


def fitted(kind, count=40, noise=0.02):
    predictor = make(kind, 0.9, folds=4)
    predictor.fit(*measured(count, noise))
    return predictor


def encoded(archs, groups=("sums",)):
    return Encoder.for_architectures(archs, groups).encode(archs)


NEW = architectures(200, seed=7)[2:]


def test_ridge_learns_additive_latency_from_forty_rows():
    mean_N = fitted("ridge").predict(NEW).mean_N
    true_N = np.array([latency_ms(arch) for arch in NEW])
    assert np.mean(np.abs(mean_N / true_N - 1)) < 0.03


def test_depth_lookup_is_the_mean_by_decoder_depth():
    archs, values_N = measured(40, 0.02)
    mean_N = fitted("depth_lookup").predict(archs).mean_N
    for depth in (1, 2, 3):
        here_N = np.array([len(arch.decoder.layers) == depth for arch in archs])
        np.testing.assert_allclose(mean_N[here_N], values_N[here_N].mean())


def test_a_depth_that_was_not_measured_lies_between_its_neighbours():
    lookup = DepthLookup(depths=(1, 3), means=(10.0, 30.0))
    by_depth = {len(arch.decoder.layers): arch for arch in NEW}
    assert lookup.predict(encoded([by_depth[2]])).tolist() == [20.0]
    assert DepthLookup(depths=(2,), means=(7.0,)).predict(encoded([by_depth[1], by_depth[3]])).tolist() == [7.0, 7.0]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in SLOW])
def test_intervals_hold_the_promised_share_of_new_architectures(kind):
    # By conformal prediction 90 % on average over tables; a single table of 40 rows gives 80 to 98 %.
    shares = []
    for seed in range(6):
        predictor = make(kind, 0.9)
        predictor.fit(*measured(40, 0.05, seed=10 * seed))
        archs, values_N = measured(150, 0.05, seed=1000 + seed)
        prediction = predictor.predict(archs)
        assert (prediction.lower_N < prediction.mean_N).all() and (prediction.mean_N < prediction.upper_N).all()
        shares.append(np.mean((prediction.lower_N <= values_N) & (values_N <= prediction.upper_N)))
    assert 0.85 < np.mean(shares) < 0.96


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_table_gives_the_same_predictor(kind):
    assert fitted(kind).to_dict() == fitted(kind).to_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_a_predictor_read_back_from_json_predicts_the_same_to_the_last_bit(kind):
    predictor = fitted(kind)
    again = predictor_from_dict(json.loads(json.dumps(predictor.to_dict())))
    for name in ("mean_N", "lower_N", "upper_N"):
        np.testing.assert_array_equal(getattr(predictor.predict(NEW), name), getattr(again.predict(NEW), name))
    assert again.to_dict() == predictor.to_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_does_not_depend_on_its_neighbours(kind):
    predictor = fitted(kind)
    alone = [predictor.predict([arch]) for arch in NEW[:20]]
    together = predictor.predict(NEW[:20])
    np.testing.assert_array_equal(together.mean_N, [one.mean_N[0] for one in alone])
    np.testing.assert_array_equal(together.upper_N, [one.upper_N[0] for one in alone])


@pytest.mark.parametrize("kind", ["ridge", "boosting", "gaussian_process"])
def test_a_stored_predictor_predicts_without_scikit_learn(kind):
    code = (
        "import json, sys\n"
        "for name in ('sklearn', 'scipy', 'pandas', 'torch'): sys.modules[name] = None\n"
        "from automoe.predictor import predictor_from_dict\n"
        "from automoe.space import Architecture\n"
        "predictor, arch = json.load(sys.stdin)\n"
        "print(predictor_from_dict(predictor).predict([Architecture.from_dict(arch)]).mean_N[0])\n"
    )
    predictor = fitted(kind)
    form = json.dumps([predictor.to_dict(), NEW[0].to_dict()])
    done = subprocess.run([sys.executable, "-c", code], input=form, capture_output=True, text=True, check=True)
    assert float(done.stdout) == predictor.predict([NEW[0]]).mean_N[0]


def test_ridge_predicts_positive_values_even_far_outside_of_what_it_learnt():
    archs = sorted(architectures(60), key=latency_ms)[20:]
    values_N = np.array([latency_ms(arch) for arch in archs]) ** 3  # bends: a line through it goes below zero
    ridge = Ridge.fit(encoded(archs), values_N)
    mean_N = ridge.predict(encoded(architectures(300, seed=3)))
    assert mean_N.min() == ridge.floor == 0.5 * values_N.min()


def test_features_that_do_not_vary_are_left_out():
    archs = [arch for arch in architectures(300) if len(arch.decoder.layers) == 2][:40]
    ridge = Ridge.fit(encoded(archs), np.array([latency_ms(arch) for arch in archs]))
    assert "sums.decoder.layers" not in ridge.scaling.names and "sums.encoder.layers" in ridge.scaling.names


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "count, values, message",
    [
        (0, lambda v: v, r"there are 0 measured architecture\(s\), too few .* at least 3"),
        (2, lambda v: v, r"there are 2 measured.* at least 3.*profile\.architectures.*too small to need a search"),
        (3, lambda v: np.full_like(v, 3.5), r"all 3 measured values are 3\.5: there is nothing to predict"),
        (20, lambda v: np.full_like(v, 3.5), r"all 20 measured values are 3\.5: there is nothing to predict"),
        (20, lambda v: np.where(np.arange(20) == 4, np.nan, v), r"value=nan: .* is not a positive number"),
        (20, lambda v: v - v.min(), r"value=0\.0: .* is not a positive number"),
    ],
)
def test_too_little_to_learn_from_is_refused(kind, count, values, message):
    archs, latencies = measured(max(count, 2), 0.02)
    with pytest.raises(AutoMoEError, match=message):
        make(kind, 0.9).fit(archs[:count], values(latencies[:count]))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(KINDS), st.integers(MIN_ROWS, 12), st.sampled_from([0.5, 0.9, 0.99]), st.integers(0, 99))
def test_few_rows_make_a_predictor_whose_interval_holds_its_mean(kind, count, coverage, seed):
    predictor = make(kind, coverage, folds=4, seed=seed)
    predictor.fit(*measured(count, 0.05, seed))
    prediction = predictor.predict(NEW)
    assert np.isfinite(prediction.upper_N).all() and (prediction.lower_N > 0).all() and predictor.factor > 1
    again = predictor_from_dict(json.loads(json.dumps(predictor.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.predict(NEW).upper_N, prediction.upper_N)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 1e3), min_size=1, max_size=9))
def test_ridge_predicts_the_mean_of_architectures_that_differ_in_no_feature(values):
    archs = architectures(9, space=HEADS)[: len(values)]
    ridge = Ridge.fit(encoded(archs), np.array(values))
    assert ridge.scaling.names == () and ridge.weight == ()
    np.testing.assert_allclose(ridge.predict(encoded(NEW)), np.mean(values))
    again = Ridge.from_dict(json.loads(json.dumps(ridge.to_dict(), allow_nan=False)))
    assert again == ridge
    np.testing.assert_array_equal(again.predict(encoded(NEW)), ridge.predict(encoded(NEW)))


def test_an_unknown_predictor_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"predictor\.kind=rigde.*auto, boosting, .*ridge.*Did you mean 'ridge'"):
        make_predictor("rigde", 0.9)


@pytest.mark.parametrize("key, value", [("coverage", 0.0), ("coverage", 1.0), ("folds", 1)])
def test_a_setting_out_of_range_is_refused_by_its_key(key, value):
    with pytest.raises(ConfigError, match=rf"predictor\.{key}={value}"):
        PredictorConfig(**{key: value})


def test_an_exact_prediction_is_its_own_interval():
    prediction = Prediction.exact([1, 2])
    assert prediction.mean_N.tolist() == prediction.lower_N.tolist() == prediction.upper_N.tolist() == [1.0, 2.0]
