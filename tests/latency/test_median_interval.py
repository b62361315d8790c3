import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.latency.median_interval import half_width, median_interval

VALUES = st.lists(st.floats(0.5, 2.0), min_size=5, max_size=20)


def test_fewer_than_five_values_do_not_tell():
    assert [half_width([1.0] * count) for count in range(6)] == [None] * 5 + [0.0]


@given(VALUES, st.randoms())
def test_it_is_within_the_range_of_the_values_and_does_not_depend_on_their_order(values, random):
    width = half_width(values)
    assert 0 <= width <= (max(values) - min(values)) / 2 / np.median(values) * (1 + 1e-12)  # but for rounding
    assert half_width(random.sample(values, len(values))) == width


@given(VALUES, st.floats(0.1, 10))
def test_it_is_a_share_so_the_unit_does_not_matter(values, factor):
    assert half_width([factor * value for value in values]) == pytest.approx(half_width(values), abs=1e-12)


@given(st.lists(st.floats(0.9, 1.1), min_size=8, max_size=20), st.floats(2, 1e6))
def test_one_value_however_far_off_does_not_widen_it_beyond_the_others(values, outlier):
    assert half_width([*values, outlier]) <= 0.2


@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential"])
@pytest.mark.parametrize("count", [5, 6, 10, 15])
def test_nine_intervals_of_ten_hold_the_median_whatever_the_distribution(count, draw):
    rng = np.random.default_rng(count)
    median = 0.0 if draw == "standard_normal" else np.log(2)
    drawn = [median_interval(getattr(rng, draw)(count)) for _ in range(3000)]
    share = sum(low <= median <= high for low, high in drawn) / len(drawn)
    assert 0.87 < share < 0.93  # 3000 draws: a standard error of 0.006
