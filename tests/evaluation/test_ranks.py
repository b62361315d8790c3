import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import DataError
from automoe.evaluation import kendall_tau_b, spearman

STATISTICS = pytest.mark.parametrize("statistic", [spearman, kendall_tau_b])
PAIRS = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=30)


def sides(pairs):
    return np.array(pairs, dtype=float).T


@STATISTICS
@given(pairs=PAIRS)
def test_only_the_order_counts_and_either_side_may_come_first(statistic, pairs):
    a_N, b_N = sides(pairs)
    value = statistic(a_N, b_N)
    assert -1 - 1e-12 <= value <= 1 + 1e-12
    assert statistic(np.exp(a_N), 3 * b_N + 1) == pytest.approx(value)
    assert statistic(b_N, a_N) == pytest.approx(value)
    assert statistic(-a_N, b_N) == pytest.approx(-value)


@given(PAIRS)
def test_kendall_is_concordant_less_discordant_pairs_over_untied_ones(pairs):
    a_N, b_N = sides(pairs)
    sign_a, sign_b = (np.sign(v[:, None] - v[None, :]) for v in (a_N, b_N))
    untied = np.sqrt(np.abs(sign_a).sum() * np.abs(sign_b).sum())
    assert kendall_tau_b(a_N, b_N) == pytest.approx((sign_a * sign_b).sum() / untied if untied else 0.0)


def test_spearman_equals_a_hand_computed_value():
    assert spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(1 - 6 * 4 / (5 * 24))


@STATISTICS
def test_equal_values_put_nothing_into_order(statistic):
    assert statistic([1, 1, 1], [1, 2, 3]) == 0.0


@STATISTICS
@pytest.mark.parametrize("a_N, b_N", [([1], [1]), ([1, 2], [1, 2, 3]), ([1, float("nan")], [1, 2])])
def test_what_has_no_ranks_is_refused(statistic, a_N, b_N):
    with pytest.raises(DataError):
        statistic(a_N, b_N)
