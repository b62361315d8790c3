import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.predictor import robust_ridge as module
from automoe.predictor.robust_ridge import robust_ridge


@settings(max_examples=15, deadline=None)
@given(st.integers(5, 30), st.integers(1, 40), st.integers(0, 999))
def test_if_no_error_is_beyond_the_bound_it_is_the_ridge_regression_of_scikit_learn(count, features, seed):
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(seed)
    z_NF, weight_N = rng.standard_normal((count, features)), rng.uniform(0.5, 2, count)
    values_N = z_NF[:, 0] + rng.standard_normal(count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BOUND", np.inf)
        fit = module.robust_ridge(z_NF, values_N, weight_N)
    ridge = linear_model.Ridge(fit.alpha).fit(z_NF, values_N, sample_weight=weight_N)
    np.testing.assert_allclose(fit(z_NF), ridge.predict(z_NF), rtol=1e-6, atol=1e-6)


def test_the_penalty_is_the_one_of_the_least_leave_one_out_error():
    rng = np.random.default_rng(0)
    z_NF = rng.standard_normal((12, 5))
    values_N, weight_N = z_NF[:, 0] + rng.uniform(-1, 1, 12), np.ones(12)
    linear_model = pytest.importorskip("sklearn.linear_model")

    def left_out(alpha):
        errors = []
        for row in range(12):
            others = np.arange(12) != row
            model = linear_model.Ridge(alpha).fit(z_NF[others], values_N[others])
            errors.append(values_N[row] - model.predict(z_NF[[row]])[0])
        return np.sum(np.square(errors))

    alphas = np.logspace(-4, 3, 22)
    best = alphas[np.argmin([left_out(alpha) for alpha in alphas])]
    assert robust_ridge(z_NF, values_N, weight_N).alpha == pytest.approx(best)


def test_a_tenth_of_wild_rows_hardly_moves_it():
    rng = np.random.default_rng(0)
    z_NF = rng.standard_normal((200, 4))
    true_F = np.array([1.0, -2.0, 0.5, 3.0])
    values_N = z_NF @ true_F + 0.1 * rng.standard_normal(200)
    values_N[:20] += 30
    fit = robust_ridge(z_NF, values_N, np.ones(200))
    np.testing.assert_allclose(fit.weight_F, true_F, atol=0.2)  # squares: 1.1
    assert abs(fit.intercept) < 0.4  # squares: 3
