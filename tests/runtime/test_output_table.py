"""The rows of the output layer that a shortlist leaves, and a sample of the others."""

from __future__ import annotations

import numpy as np
import pytest

from automoe.decoding import EOS
from automoe.decoding.shortlist import SHORTLIST_SAMPLE, Shortlist
from automoe.decoding.symbols import BOS, UNK
from automoe.runtime.output_table import OutputTable

TABLE_VD = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32)
SOURCES = [np.array([7, 9, EOS]), np.array([400, EOS])]


def test_rows_are_those_of_the_list_and_then_a_sample_of_the_others():
    shortlist = Shortlist.from_rows([20], [[token // 2] for token in range(500)])
    listed_C, feeds = OutputTable({"embedding": TABLE_VD}, 4, shortlist).rows(SOURCES)
    assert set(listed_C) == {EOS, UNK, 20, 7, 9, 400, 4, 200, 1}
    rows_VD = feeds["output_VD"]
    assert rows_VD.shape == (len(listed_C) + SHORTLIST_SAMPLE, 4)
    np.testing.assert_array_equal(rows_VD[: len(listed_C)], TABLE_VD[listed_C, :4])
    sampled = [int(np.flatnonzero((TABLE_VD[:, :4] == row).all(axis=1))[0]) for row in rows_VD[len(listed_C) :]]
    assert len(set(sampled)) == SHORTLIST_SAMPLE and not set(sampled) & set(listed_C)
    assert np.diff(sorted(sampled)).max() < 20, "the sample is spread over the vocabulary"
    assert listed_C[feeds["end"]].tolist() == [EOS]
    others = set(range(500)) - set(listed_C) - {BOS}  # the padding is listed, as it stands in a source
    assert set(sampled) <= others
    assert feeds["log_others"] == pytest.approx(np.log(len(others)))


def test_a_list_of_all_tokens_leaves_no_others():
    every = Shortlist.from_rows(range(500), [()] * 500)
    listed_C, feeds = OutputTable({"embedding": TABLE_VD}, 6, every).rows(SOURCES)
    assert listed_C.tolist() == list(range(500))
    assert feeds["log_others"].tolist() == [-np.inf]
    np.testing.assert_array_equal(feeds["output_VD"][:500], TABLE_VD)


@pytest.mark.parametrize("others", [1, 5, SHORTLIST_SAMPLE])
def test_few_others_are_sampled_more_than_once(others):
    most = Shortlist.from_rows(range(500 - others), [()] * 500)
    listed_C, feeds = OutputTable({"embedding": TABLE_VD}, 6, most).rows([np.array([7, EOS])])
    sample = {row.tobytes() for row in feeds["output_VD"][len(listed_C) :]}
    assert sample == {TABLE_VD[token].tobytes() for token in range(500 - others, 500)}


def test_in_8_bits_the_columns_are_those_rows_with_their_scales():
    shortlist = Shortlist.from_rows([20], [()] * 500)
    table_VD, scale_V = (TABLE_VD * 30).astype(np.int8), np.arange(500, dtype=np.float32)
    table = OutputTable({"embedding": table_VD, "embedding.scale": scale_V}, 4, shortlist)
    listed_C, feeds = table.rows(SOURCES)
    assert feeds["output_DV"].dtype == np.int8 and feeds["output_DV"].flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(feeds["output_DV"][:, : len(listed_C)], table_VD[listed_C, :4].T)
    used = feeds["output_scale_V"].astype(int)  # a scale tells its token
    np.testing.assert_array_equal(used[: len(listed_C)], listed_C)
    np.testing.assert_array_equal(feeds["output_DV"], table_VD[used, :4].T)
