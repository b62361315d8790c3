"""Positions without PyTorch are those of the model, as far as anyone asks."""

from __future__ import annotations

import numpy as np
import pytest

from automoe.decoding.positions import PositionTable, sinusoids


@pytest.mark.parametrize("dim", [2, 4, 24, 512])
def test_positions_are_those_that_the_model_was_trained_with(dim):
    torch = pytest.importorskip("torch")
    from automoe.nn.embedding import sinusoid

    wanted_LD = sinusoid(1000, dim, torch.zeros(1)).numpy()
    # Angles up to 1000 are rounded in double precision, then once to float32.
    np.testing.assert_allclose(sinusoids(1000, dim), wanted_LD, rtol=0, atol=1e-7)


def test_a_table_grows_and_what_it_gave_before_stays_true():
    table = PositionTable(8)
    first_LD, one_1D = table.first(3).copy(), table.one(200).copy()
    for position in (255, 256, 700, 5000):
        np.testing.assert_array_equal(table.one(position), sinusoids(position + 1, 8)[-1:])
    np.testing.assert_array_equal(table.first(9000), sinusoids(9000, 8))
    np.testing.assert_array_equal(table.first(3), first_LD)
    np.testing.assert_array_equal(table.one(200), one_1D)
    assert table.first(0).shape == (0, 8)
