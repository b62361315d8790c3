import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.data.config import SplitConfig
from automoe.data.splits import count_overlaps, split_key, split_pairs
from automoe.decoding.placeholders import DEFAULT_PATTERN
from automoe.errors import DataError

WORDS = st.sampled_from(["Channel", "channel", "zone", "Ön", "1", "2", "{name}", "{id}", "!", "-", "日本"])
PAIRS = st.lists(st.tuples(st.lists(WORDS, max_size=4).map(" ".join), st.text(max_size=3)), min_size=12, max_size=60)
SIZES = SplitConfig(valid_size=3, test_size=3)


@given(PAIRS, st.integers(0, 5))
def test_no_key_of_a_source_falls_into_two_splits_and_no_pair_is_lost(pairs, seed):
    config = SplitConfig(valid_size=3, test_size=3, seed=seed)
    splits = split_pairs(pairs, ["valid", "test"], config, DEFAULT_PATTERN)
    keys = {name: {split_key(source, DEFAULT_PATTERN) for source, _ in split} for name, split in splits.items()}
    assert not keys["train"] & keys["valid"]
    assert not keys["train"] & keys["test"]
    assert not keys["valid"] & keys["test"]
    assert sorted(pair for split in splits.values() for pair in split) == sorted(pairs)
    overlaps = count_overlaps(splits, DEFAULT_PATTERN)
    assert overlaps["source"] == {"valid": 0, "test": 0}


@given(st.integers(12, 80), st.integers(1, 3), st.integers(1, 3))
def test_sizes_are_exact_where_sources_differ(count, valid_size, test_size):
    pairs = [("x" * (index + 1), "y") for index in range(count)]
    splits = split_pairs(pairs, ["test", "valid"], SplitConfig(valid_size=valid_size, test_size=test_size), None)
    assert (len(splits["valid"]), len(splits["test"])) == (valid_size, test_size)
    assert [pair for pair in pairs if pair in splits["train"]] == splits["train"]


@given(st.permutations([("x" * index, "y") for index in range(1, 21)]), st.integers(1, 7))
def test_the_test_set_depends_neither_on_the_order_nor_on_the_validation_size(pairs, valid_size):
    config = SplitConfig(valid_size=valid_size, test_size=3)
    reference = split_pairs([("x" * index, "y") for index in range(1, 21)], ["test"], config, None)
    assert sorted(split_pairs(pairs, ["valid", "test"], config, None)["test"]) == sorted(reference["test"])


def test_another_seed_draws_another_test_set():
    pairs = [("x" * (index + 1), "y") for index in range(200)]
    first, second = (
        split_pairs(pairs, ["test"], SplitConfig(test_size=50, seed=seed), None)["test"] for seed in (1, 2)
    )
    assert first != second


@pytest.mark.parametrize("other", ["channel 4", "CHANNEL-17!", "Channel {name}", "channel", " <ph3>Channel"])
def test_case_digits_punctuation_and_placeholders_do_not_count(other):
    assert split_key("Channel 3", DEFAULT_PATTERN) == split_key(other, DEFAULT_PATTERN) == "channel"


def test_a_corpus_too_small_for_the_sets_is_an_error():
    with pytest.raises(DataError, match="6 of the 11 pairs are asked for test and valid, more than half"):
        split_pairs([("a", "b")] * 11, ["valid", "test"], SIZES, None)


def test_overlap_with_training_is_counted_on_both_sides():
    splits = {"train": [("A 1", "X")], "test": [("a 2", "Y"), ("b", "x!"), ("c", "z")]}
    assert count_overlaps(splits, None) == {"source": {"test": 1}, "target": {"test": 1}}


def test_combining_marks_that_follow_a_letter_tell_sentences_apart():
    assert split_key("चालू करें 3", None) == "चालू करें"
    assert split_key("कि", None) != split_key("कु", None)
    assert split_key("e\u0301", None) != split_key("e", None)


@pytest.mark.parametrize("other", ["Light \u2764\ufe0f", "\ufe0f light", "light 1\ufe0f\u20e3", "\u2764\ufe0f light"])
def test_marks_of_no_letter_do_not_count(other):
    assert split_key(other, None) == "light"
