"""What a row says beside its times: what another measurement would find, and the columns that a person reads."""

from dataclasses import replace

import pytest

from automoe.latency import read_table
from tests.conftest import TINY_TABLE

ROW = read_table(TINY_TABLE).rows[0]


def test_one_slow_pass_among_many_does_not_move_the_bounds_and_few_passes_bound_by_themselves():
    ms = ROW.latency_ms
    known = replace(ROW, spread=0.01, repeats=15, low_ms=0.9 * ms, high_ms=1.02 * ms)
    median, low, high = known.bounds()
    assert (median, low, high) == pytest.approx((ms, 0.97 * ms, 1.03 * ms))
    assert replace(known, high_ms=2 * ms).bounds() == (median, low, high)
    few = replace(known, spread=None, repeats=3)
    assert few.bounds() == pytest.approx((ms, 0.88 * ms, 1.04 * ms))


def test_the_columns_are_plain_values():
    columns = ROW.columns()
    assert all(isinstance(value, str | int | float | None) for value in columns.values())
    assert columns["decoder_ms"] == ROW.latency_ms - ROW.encoder_ms
    assert columns["decoder_layers"] == len(ROW.arch.decoder.layers)
