"""The report of a router against NumPy and SciPy, and at the ends of its scales."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from automoe.nn.router_report import router_report

loads = st.lists(st.integers(0, 10_000), min_size=1, max_size=16).filter(any)


@given(loads)
def test_statistics_are_those_of_the_loads(loads):
    report, loads_E = router_report(loads), np.array(loads, dtype=float)
    assert report.loads == pytest.approx(loads_E / loads_E.sum())
    assert report.cv == pytest.approx(scipy.stats.variation(loads_E), abs=1e-12)
    if len(loads) > 1:
        assert report.entropy == pytest.approx(scipy.stats.entropy(loads_E, base=len(loads)), abs=1e-12)


@given(loads, st.integers(1, 1000))
def test_how_many_tokens_there_were_changes_nothing(loads, factor):
    one, other = router_report(loads), router_report([factor * load for load in loads])
    assert (one.cv, one.entropy, *one.loads) == pytest.approx((other.cv, other.entropy, *other.loads), abs=1e-12)


@pytest.mark.parametrize("experts", [1, 2, 3, 6, 128])
def test_even_loads_are_at_one_end(experts):
    report = router_report([7] * experts)
    assert (report.cv, report.entropy) == pytest.approx((0, 1), abs=1e-12)


@pytest.mark.parametrize("experts", [2, 3, 6, 128])
def test_one_expert_for_everything_is_at_the_other_end(experts):
    report = router_report([0] * (experts - 1) + [7])
    assert (report.cv, report.entropy) == pytest.approx(((experts - 1) ** 0.5, 0))
    assert math.copysign(1, report.entropy) == 1  # not -0.0


def test_dropped_pairs_are_a_share_of_all():
    assert router_report([6, 2], dropped=2).dropped == 0.25
    assert router_report([6, 2]).dropped == 0


def test_a_router_that_saw_nothing_has_no_report():
    with pytest.raises(ValueError, match="no token"):
        router_report([0, 0])
