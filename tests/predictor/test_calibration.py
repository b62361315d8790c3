import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.predictor import Features
from automoe.predictor.calibration import cross_validated, folds_of, interval_factor, rows_for_coverage


@given(st.integers(2, 60), st.integers(2, 10), st.integers(0, 99))
def test_folds_hold_out_each_row_once(count, folds, seed):
    parts = list(folds_of(count, folds, np.random.default_rng(seed)))
    assert len(parts) == min(folds, count)
    assert sorted(np.concatenate([held_out for _, held_out in parts]).tolist()) == list(range(count))
    for others, held_out in parts:
        assert len(held_out) and set(others) | set(held_out) == set(range(count)) and not set(others) & set(held_out)


def test_no_row_is_predicted_by_a_model_that_has_seen_it():
    values = np.arange(1.0, 14.0)
    features = Features(values[:, None], ("sums.row",), values.astype(int))

    class Exact:
        """Knows the rows that it has learnt from, and predicts any other."""

        groups = ("sums",)

        def __init__(self, seen):
            self.seen = seen

        @classmethod
        def fit(cls, features, values_N):
            np.testing.assert_array_equal(features.x_NF[:, 0], values_N)
            return cls(set(values_N.tolist()))

        def predict(self, features):
            assert not self.seen & set(features.x_NF[:, 0].tolist())
            return features.x_NF[:, 0]

    folds = list(folds_of(13, 4, np.random.default_rng(0)))
    predicted, spread = cross_validated(Exact, features, values, folds)
    np.testing.assert_array_equal(predicted, values)
    np.testing.assert_array_equal(spread, 1.0)


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


@given(st.integers(1, 40), st.floats(0.05, 0.99), st.integers(0, 99))
def test_too_few_rows_for_the_coverage_make_an_interval_wider_than_any_error(count, coverage, seed):
    ratios = np.exp(np.random.default_rng(seed).standard_normal(count))
    largest = max(ratios.max(), 1 / ratios.min())
    factor = interval_factor(ratios, np.ones(count), coverage)
    if count < rows_for_coverage(coverage):
        assert factor == pytest.approx(largest**2) and factor > largest
    else:
        assert factor <= largest * (1 + 1e-12)


def test_the_rows_that_a_coverage_takes_are_those_whose_largest_error_covers_as_much():
    assert [rows_for_coverage(coverage) for coverage in (0.5, 0.8, 0.9, 0.95)] == [1, 4, 9, 19]


def test_three_errors_doubled_cover_nine_tenths_of_normal_ones():
    error_NR = np.random.default_rng(0).standard_normal((2000, 4))
    factors = [interval_factor(np.exp(error_R[:3]), np.ones(3), 0.9) for error_R in error_NR]
    assert np.mean(np.abs(error_NR[:, 3]) <= np.log(factors)) == pytest.approx(0.93, abs=0.02)
