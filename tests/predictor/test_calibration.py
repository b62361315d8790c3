import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import AutoMoEError
from automoe.predictor.calibration import cross_validated, folds_of, interval_factor
from tests.predictor.samples import architectures


@given(st.integers(2, 60), st.integers(2, 10), st.integers(0, 99))
def test_folds_hold_out_each_row_once(count, folds, seed):
    folds = min(folds, count)
    parts = list(folds_of(count, folds, np.random.default_rng(seed)))
    assert len(parts) == folds
    assert sorted(np.concatenate([held_out for _, held_out in parts]).tolist()) == list(range(count))
    for others, held_out in parts:
        assert len(held_out) and set(others) | set(held_out) == set(range(count)) and not set(others) & set(held_out)


def test_no_row_is_predicted_by_a_model_that_has_seen_it():
    archs = architectures(13)
    values = np.arange(13.0)

    def fit_predict(seen, seen_values, new):
        assert not set(seen) & set(new)
        assert [archs[int(value)] for value in seen_values] == seen
        return np.array([float(archs.index(arch)) for arch in new])

    predicted = cross_validated(fit_predict, archs, values, 4, np.random.default_rng(0))
    np.testing.assert_array_equal(predicted, values)


@given(st.integers(9, 60), st.floats(0.5, 0.9), st.integers(0, 99))
def test_the_interval_holds_the_share_of_the_residuals_that_conformal_prediction_asks_for(count, coverage, seed):
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(1, 100, count)
    values = predicted * np.exp(0.2 * rng.standard_normal(count))
    factor = interval_factor(values, predicted, coverage) * (1 + 1e-12)
    inside = np.sum((values <= predicted * factor) & (values >= predicted / factor))
    assert coverage * (count + 1) - 1e-6 <= inside < coverage * (count + 1) + 1


def test_new_values_are_covered_as_often_as_promised():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(4000):
        errors = rng.standard_normal(20)  # 19 residuals and a new one
        factor = interval_factor(np.exp(errors[:19]), np.ones(19), 0.8)
        covered.append(1 / factor <= np.exp(errors[19]) <= factor)
    assert np.mean(covered) == pytest.approx(0.8, abs=0.02)  # exactly 16 / 20


def test_too_few_rows_for_the_coverage_are_refused_with_the_number_it_takes():
    assert interval_factor(np.full(9, 2.0), np.ones(9), 0.9) == pytest.approx(2.0)
    with pytest.raises(AutoMoEError, match=r"8 measured.*coverage 0\.9: it takes at least 9.*Measure more"):
        interval_factor(np.full(8, 2.0), np.ones(8), 0.9)
