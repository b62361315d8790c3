import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.predictor import FittedRegressor, fit_report, make_predictor
from tests.predictor.samples import SPACE, architectures


def loss(arch):
    """Falls with every size, with diminishing returns, and in early layers more than in late ones."""
    dims = {"encoder": arch.encoder.dim, "decoder": arch.decoder.dim}
    strength = sum(
        (math.log(dims[side]) + 0.3 * math.log(sum(layer.expert_widths))) / (1 + index)
        for side, index, layer in arch.layers()
    )
    return 2 + 5 * math.exp(-0.15 * strength)


def losses(archs):
    return np.array([loss(arch) for arch in archs])


def fitted(archs, values_N, kind="sizes"):
    return FittedRegressor.fit(kind, archs, values_N)


def share_in_order(guess_N, true_N):
    right_NN = (guess_N[:, None] < guess_N) == (true_N[:, None] < true_N)
    return right_NN[np.triu_indices(len(true_N), 1)].mean()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999))
def test_its_order_of_unseen_architectures_is_mostly_the_true_one(seed):
    known, unseen = architectures(40, seed), architectures(62, seed + 1000)[2:]
    assert share_in_order(fitted(known, losses(known))(unseen), losses(unseen)) > 0.8


def test_it_sees_which_layer_is_large_where_the_sums_of_ridge_do_not():
    archs = [a for a in architectures(600) if len(a.encoder.layers) == 2 and len(a.decoder.layers) == 3]
    known, unseen = archs[:60], archs[60:160]
    values_N = np.array([3 - 0.001 * sum(a.decoder.layers[0].expert_widths) for a in known])
    true_N = np.array([3 - 0.001 * sum(a.decoder.layers[0].expert_widths) for a in unseen])
    shares = [share_in_order(fitted(known, values_N, kind)(unseen), true_N) for kind in ("sizes", "ridge")]
    assert shares[0] > 0.85 > 0.75 > shares[1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.floats(1.0, 9.0), st.integers(1, 5))
def test_where_all_values_are_equal_it_guesses_the_same_from_one_row_on(seed, value, count):
    guess = fitted(architectures(7, seed)[2 : 2 + count], np.full(count, value))
    np.testing.assert_allclose(guess(architectures(9, seed + 1)), value)


def test_none_are_guessed_for_none():
    assert fitted([SPACE.smallest()], np.array([3.0]))([]).shape == (0,)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(1, 30))
def test_what_it_guesses_is_positive_and_finite_for_deeper_architectures_too(seed, count):
    shallow = [arch for arch in architectures(200, seed) if len(arch.decoder.layers) == 1][:count]
    value_N = losses(shallow) ** 9
    guess_N = fitted(shallow, value_N)(architectures(60, seed + 1))
    assert np.isfinite(guess_N).all() and guess_N.min() >= 0.5 * value_N.min()


@pytest.mark.parametrize("unit", [1.0, 100.0])
def test_the_report_of_latency_works_for_quality(unit):
    """BLEU is learnt as 100 less its value: another unit, the same report."""
    archs = architectures(60)
    fit = fit_report(lambda: make_predictor("sizes", folds=10, seed=1), archs, unit * losses(archs), 10, 1)
    lookup = fit_report(lambda: make_predictor("depth_lookup", folds=10, seed=1), archs, unit * losses(archs), 10, 1)
    assert fit.spearman > 0.9 and fit.rmse < lookup.rmse
    assert 0.75 <= fit.coverage <= 1
