import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import ConfigError
from automoe.latency import panel

CORPORA = st.lists(st.tuples(st.integers(2, 9), st.integers(1, 60)), min_size=5, max_size=60)


def corpus(sizes):
    return [np.arange(4, 4 + source) for source, _ in sizes], [target for _, target in sizes]


@given(CORPORA, st.integers(1, 5))
def test_a_panel_is_real_sentences_with_their_own_lengths_from_short_to_long(sizes, count):
    sources, lengths = corpus(sizes)
    chosen = panel(sources, lengths, count)
    assert len(chosen) == len(chosen.lengths) == count
    assert list(chosen.lengths) == sorted(chosen.lengths)
    pairs = [(tuple(source.tolist()), length) for source, length in zip(sources, lengths, strict=True)]
    for pair in zip(chosen.sources, chosen.lengths, strict=True):
        pairs.remove(pair)  # each is taken at most as often as the corpus has it
    assert chosen.steps == sum(length + 1 for length in chosen.lengths)


def test_sentences_stand_at_even_quantiles_so_their_mean_length_is_that_of_the_corpus():
    sources, lengths = [np.array([5, 2])] * 100, list(np.random.default_rng(0).permutation(np.arange(1, 101)))
    assert panel(sources, lengths, 10).lengths == tuple(range(6, 101, 10))


def test_the_digest_names_the_sentences_and_the_lengths():
    sources, lengths = corpus([(3, 4), (5, 6), (7, 8)])
    one = panel(sources, lengths, 3)
    assert one.digest == panel(sources, lengths, 3).digest
    assert one.digest != panel(sources, [4, 6, 9], 3).digest
    assert one.digest != panel([*sources[:2], sources[2] + 1], lengths, 3).digest


def test_pairs_with_an_empty_side_are_left_out_and_too_few_are_an_error():
    sources = [np.array([2]), np.array([5, 2]), np.array([6, 2])]
    assert panel(sources, [3, 0, 4], 1).sources == ((6, 2),)
    with pytest.raises(ConfigError, match=r"profile\.sentences=2.*allowed: 1 to 1"):
        panel(sources, [3, 0, 4], 2)
