import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.errors import AutoMoEError
from automoe.predictor import Features, FittedRegressor
from automoe.predictor.features import Encoder
from automoe.predictor.regressor import REGRESSORS, find_regressor, spread_of
from automoe.predictor.regressors import mlp
from automoe.predictor.regressors.boosting import Boosting
from tests.predictor.samples import architectures, latency_ms, measured, other_device

NEW = architectures(100, seed=7)[2:]


def encoded(archs, groups=("sums", "sizes")):
    features = Encoder.for_architectures(archs, groups).encode(archs)
    return features.with_column("base.log_value", np.log(other_device().predict(archs).mean_N))


def described(kind, archs):
    return encoded(archs).only(find_regressor(kind).groups)


def relative_errors(kind, known, values_N):
    found = find_regressor(kind).fit(described(kind, known), values_N).predict(described(kind, NEW))
    return np.abs(found / np.array([latency_ms(arch) for arch in NEW]) - 1)


@pytest.mark.parametrize("kind", REGRESSORS)
@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_rows_of_equal_values_predict_that_value_from_one_row_on(kind, count):
    archs = architectures(60)[:count]
    regressor = find_regressor(kind).fit(described(kind, archs), np.full(count, 7.0))
    if kind == "transfer":  # it takes the other device's proportions for true
        assert regressor.predict(described(kind, archs)) == pytest.approx(7.0, rel=0.5)
    else:
        np.testing.assert_allclose(regressor.predict(described(kind, NEW)), 7.0)
    assert (spread_of(regressor, described(kind, NEW)) > 0).all()


@pytest.mark.parametrize("kind", REGRESSORS)
@settings(max_examples=6, deadline=None)
@given(st.integers(1, 15), st.integers(0, 999))
def test_predictions_are_positive_and_finite_whatever_was_learnt_from(kind, count, seed):
    rng = np.random.default_rng(seed)
    archs = architectures(count + 2, seed)[2:]
    values_N = np.exp(3 * rng.standard_normal(count))
    regressor = find_regressor(kind).fit(described(kind, archs), values_N)
    predicted_N, spread_N = regressor.predict(described(kind, NEW)), spread_of(regressor, described(kind, NEW))
    assert np.isfinite(predicted_N).all() and predicted_N.min() >= 0.5 * values_N.min() * (1 - 1e-12)
    assert np.isfinite(spread_N).all() and spread_N.min() > 0
    again = find_regressor(kind).from_dict(json.loads(json.dumps(regressor.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.predict(described(kind, NEW)), predicted_N)


@pytest.mark.parametrize("kind, worst", [("linear", 0.02), ("ridge", 0.02), ("polynomial", 0.03), ("mlp", 0.03)])
def test_latency_that_adds_up_is_learnt_from_eighty_rows(kind, worst):
    assert relative_errors(kind, *measured(80, 0.01)).mean() < worst


@pytest.mark.parametrize("kind", ["gaussian_process", "boosting"])
def test_what_knows_nothing_of_sums_learns_more_than_depth(kind):
    archs, values_N = measured(80, 0.01)
    assert (
        relative_errors(kind, archs, values_N).mean() < 0.6 * relative_errors("depth_lookup", archs, values_N).mean()
    )


def test_a_polynomial_learns_products_that_a_linear_function_cannot():
    rng = np.random.default_rng(0)
    x_NF = rng.uniform(1, 3, (300, 3))
    features = Features(x_NF, ("sums.a", "sums.b", "sums.c"), np.ones(300, dtype=int))
    values_N = 1 + x_NF[:, 0] * x_NF[:, 1]
    errors = {
        kind: np.abs(
            find_regressor(kind).fit(features.take(np.arange(200)), values_N[:200]).predict(features) - values_N
        )
        for kind in ("polynomial", "ridge")
    }
    assert errors["polynomial"].max() < 0.01 < 0.1 < errors["ridge"].max()


def test_boosting_learns_a_jump_that_a_polynomial_cannot():
    rng = np.random.default_rng(0)
    x_NF = rng.uniform(0, 4, (400, 2))
    features = Features(x_NF, ("sums.a", "sums.b"), np.ones(400, dtype=int))
    values_N = np.where(x_NF[:, 0] > 2.5, 30.0, 10.0) + x_NF[:, 1]
    errors = {
        kind: np.abs(
            find_regressor(kind).fit(features.take(np.arange(300)), values_N[:300]).predict(features) - values_N
        )
        for kind in ("boosting", "polynomial")
    }
    assert errors["boosting"][300:].mean() < 0.2 * errors["polynomial"][300:].mean()


@pytest.mark.parametrize("kind", ["ridge", "polynomial", "boosting", "mlp"])
def test_a_row_that_is_three_times_wrong_moves_the_others_less_than_with_squares(kind):
    archs, values_N = measured(60, 0.01)
    wrong_N = values_N.copy()
    wrong_N[30] *= 3

    def moved(kind):
        before, after = (
            find_regressor(kind).fit(described(kind, archs), y_N).predict(described(kind, NEW))
            for y_N in (values_N, wrong_N)
        )
        return np.mean(np.abs(after / before - 1))

    assert moved(kind) < 0.7 * moved("linear")


def test_from_twenty_rows_of_a_scaled_device_transfer_errs_less_than_starting_anew():
    errors = {"transfer": [], "ridge": []}
    for seed in range(5):
        archs = architectures(22, seed)[2:]
        noise_N = np.exp(0.03 * np.random.default_rng(seed).standard_normal(20))
        values_N = np.array([latency_ms(arch) for arch in archs]) * noise_N
        errors["transfer"].append(relative_errors("transfer", archs, values_N).mean())
        alone = FittedRegressor.fit("ridge", archs, values_N)(NEW)
        errors["ridge"].append(np.mean(np.abs(alone / np.array([latency_ms(arch) for arch in NEW]) - 1)))
    assert np.mean(errors["transfer"]) < 0.8 * np.mean(errors["ridge"])


def test_a_network_is_kept_only_if_it_errs_less_on_its_held_out_rows_than_none():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        z_NF, target_N = rng.standard_normal((40, 4)), rng.standard_t(1.5, 40)  # nothing to learn
        networks_MHF, _ = mlp._train(z_NF, target_N)
        held_out_MN = mlp._held_out(40, np.random.default_rng([zlib.crc32(b"mlp"), 40, 4]))
        hidden_MHN = np.tanh(networks_MHF[:, :, :-1] @ np.column_stack([z_NF, np.ones(40)]).T)
        said_MN = (networks_MHF[:, :, -1:] * hidden_MHN).sum(axis=1)
        for said_N, held_out_N in zip(said_MN, held_out_MN, strict=True):
            error = np.abs(said_N - target_N)[held_out_N].mean()
            assert error <= np.abs(target_N)[held_out_N].mean() * (1 + 1e-12)


def test_transfer_without_another_device_is_refused():
    archs, values_N = measured(20, 0.02)
    with pytest.raises(AutoMoEError, match=r"predictor\.kind=transfer: there is no other device.*predictor\.base"):
        FittedRegressor.fit("transfer", archs, values_N)


def test_a_gaussian_process_doubts_more_what_is_far_from_all_that_was_measured():
    archs, values_N = measured(300, 0.02)
    small = [index for index, arch in enumerate(archs) if len(arch.decoder.layers) == 1 and arch.decoder.dim == 32]
    known = [archs[index] for index in small]
    kind = "gaussian_process"
    regressor = find_regressor(kind).fit(described(kind, known), values_N[small])
    far = [arch for arch in NEW if len(arch.decoder.layers) == 3 and arch.decoder.dim == 64]
    near = described(kind, known)
    assert np.median(spread_of(regressor, described(kind, far))) > 1.2 * np.median(spread_of(regressor, near))


def test_boosting_predicts_what_a_walk_down_its_trees_adds_up_to():
    archs, values_N = measured(60, 0.05)
    boosting = Boosting.fit(described("boosting", archs), values_N)

    def walked(x_F):
        total = boosting.start
        for feature_S, threshold_S, leaf_L in zip(
            boosting.feature_TS, boosting.threshold_TS, boosting.leaf_TL, strict=True
        ):
            split = 0
            while split < len(feature_S):
                split = 2 * split + (2 if x_F[feature_S[split]] > threshold_S[split] else 1)
            total += leaf_L[split - len(feature_S)]
        return np.exp(total)

    features = described("boosting", NEW)
    found_N = boosting.predict(features)
    inside_N = (found_N > boosting.floor) & (found_N < boosting.ceiling)
    assert inside_N.mean() > 0.9
    np.testing.assert_allclose(found_N[inside_N], [walked(x_F) for x_F in features.x_NF[inside_N]], rtol=1e-12)
