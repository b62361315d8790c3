"""Numbers as a person reads them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.report.formats import counted, fixed, interval, listed, percent, shortened, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [(11.41, "11.4"), (1204, "1,204"), (0.01234, "0.0123"), (9.996, "10.0"), (99.96, "100"), (0, "0"),
     (-0.5, "-0.500"), (None, "–"), (math.nan, "–"), (math.inf, "–"), (1, "1.00")],
)  # fmt: skip
def test_three_digits_say_enough(value, text):
    assert significant(value) == text


@given(st.floats(min_value=1e-6, max_value=1e6))
def test_a_printed_number_is_near_the_number(value):
    assert float(significant(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_scores_keep_their_decimals_and_shares_are_never_rounded_to_nothing():
    assert (fixed(31.04), fixed(None), fixed(3.5764, 3)) == ("31.0", "–", "3.576")
    assert (percent(0), percent(0.001), percent(0.634), percent(1)) == ("0 %", "<1 %", "63 %", "100 %")


def test_an_interval_needs_both_ends():
    assert interval(11.4, 11.1, 11.9) == "11.4 (11.1 to 11.9)"
    assert interval(11.4, None, 11.9) == "11.4" and interval(None, None, None) == "–"


def test_a_long_text_ends_in_an_ellipsis():
    assert (shortened("abcde", 5), shortened("abcdef", 5)) == ("abcde", "abcd…")


def test_lists_and_counts_read_as_english():
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert (counted(1, "layer"), counted(1200, "layer")) == ("1 layer", "1,200 layers")
