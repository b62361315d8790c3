import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.decoding import EOS
from automoe.errors import ConfigError
from automoe.latency import panel, random_panel

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


@given(st.lists(st.integers(2, 40), min_size=1, max_size=8), st.integers(5, 300), st.integers(0, 5))
def test_a_random_panel_has_the_lengths_with_their_end_symbols_and_words_of_the_vocabulary(lengths, vocab_size, seed):
    chosen = random_panel(lengths, vocab_size, seed)
    assert [len(source) for source in chosen.sources] == lengths
    assert [length + 1 for length in chosen.lengths] == lengths
    assert chosen.steps == sum(lengths)
    for source in chosen.sources:
        assert source[-1] == EOS and all(3 < token < vocab_size for token in source[:-1])


@given(st.lists(st.integers(2, 9), min_size=2, max_size=5), st.integers(0, 5))
def test_a_random_panel_begins_alike_for_a_seed_and_differs_between_seeds(lengths, seed):
    chosen = random_panel([30, *lengths], 100, seed)
    assert chosen == random_panel([30, *lengths], 100, seed)
    assert random_panel([30, *lengths[:1]], 100, seed).sources == chosen.sources[:2]
    assert random_panel([30, *lengths], 100, seed + 1).digest != chosen.digest


@pytest.mark.parametrize("lengths", [[], [5, 1]])
def test_random_sentences_without_a_word_are_refused(lengths):
    with pytest.raises(ConfigError, match=r"profile\.lengths"):
        random_panel(lengths, 100, 0)
    with pytest.raises(ValueError, match="4 entries holds no words"):
        random_panel([5], 4, 0)
