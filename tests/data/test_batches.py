from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.data import IdArray
from automoe.data.batches import padded_batches
from automoe.decoding.symbols import EOS, PAD


def id_array(lengths) -> IdArray:
    """Sentences of the given lengths, the end symbol included, whose words are distinct in the whole array."""
    sentences = [np.r_[100 * index + np.arange(4, 3 + length), EOS] for index, length in enumerate(lengths)]
    return IdArray(np.concatenate(sentences), np.cumsum([0, *lengths]))


def corpus(lengths):
    sides = {side: id_array([pair[index] for pair in lengths]) for index, side in enumerate(("src", "tgt"))}
    return SimpleNamespace(ids=lambda split, side: sides[side])


pairs = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=30)


@settings(max_examples=50, deadline=None)
@given(pairs, st.integers(12, 60))
def test_every_pair_comes_once_and_batches_keep_their_size(lengths, max_tokens):
    prepared = corpus(lengths)
    found = []
    for source, previous, target in padded_batches(prepared, "valid", max_tokens):
        assert len(source) * max(source.shape[1], target.shape[1]) <= max_tokens
        assert previous.shape == target.shape
        for row_source, row_previous, row_target in zip(source, previous, target, strict=True):
            sentence = row_target[row_target != PAD]
            assert (row_target[len(sentence) :] == PAD).all()
            assert row_previous[: len(sentence)].tolist() == [EOS, *sentence[:-1]]
            assert (row_previous[len(sentence) :] == PAD).all()
            found.append((tuple(row_source[row_source != PAD]), tuple(sentence)))
    sides = [map(tuple, prepared.ids("valid", side)) for side in ("src", "tgt")]
    assert sorted(found) == sorted(zip(*sides, strict=True))


@settings(max_examples=50, deadline=None)
@given(pairs, st.integers(1, 40))
def test_limit_takes_so_many_pairs_and_every_length_is_near_a_taken_one(lengths, limit):
    taken = [
        max((source != PAD).sum(), (target != PAD).sum())
        for batch in padded_batches(corpus(lengths), "valid", 24, limit)
        for source, target in zip(batch.source_BS, batch.target_BL, strict=True)
    ]
    longest = sorted(map(max, lengths))
    assert len(taken) == min(limit, len(lengths))
    part = len(lengths) / len(taken)
    for index, length in enumerate(taken):
        assert longest[int(index * part)] <= length <= longest[min(int((index + 1) * part), len(lengths) - 1)]


def test_sentence_above_the_size_comes_alone():
    sizes = [batch.source_BS.shape for batch in padded_batches(corpus([(9, 9), (2, 2), (2, 2)]), "valid", 4)]
    assert sizes == [(2, 2), (1, 9)]


@pytest.mark.parametrize("limit", [1, 2])
def test_the_same_limit_takes_the_same_pairs(limit):
    first, again = (
        [batch.source_BS.tolist() for batch in padded_batches(corpus([(3, 4), (5, 2), (7, 7)]), "valid", 24, limit)]
        for _ in range(2)
    )
    assert first == again
