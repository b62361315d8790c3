import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.data.cleaning import DROP_REASONS, clean, length_flaw
from automoe.data.config import CleaningConfig
from automoe.decoding.placeholders import DEFAULT_PATTERN, find_placeholders

TEXTS = st.text(st.sampled_from("ab{}x \n\té\u0301"), max_size=12) | st.sampled_from(["{a}", "{b} {a}", "A"])
SMALL = CleaningConfig(max_chars=10, max_tokens=9, max_ratio=2, ratio_min_tokens=4)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=30))
def test_every_pair_is_kept_or_counted_and_what_is_kept_is_clean(pairs):
    kept, dropped = clean(pairs, SMALL, DEFAULT_PATTERN)
    assert len(kept) + sum(dropped.values()) == len(pairs)
    assert tuple(dropped) == DROP_REASONS
    assert len(set(kept)) == len(kept)
    for source, target in kept:
        assert 1 <= len(source) <= 10 and 1 <= len(target) <= 10
        assert set(find_placeholders(source)) == set(find_placeholders(target))
        assert clean([(source, target)], SMALL, DEFAULT_PATTERN)[0] == [(source, target)]


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (("a\nb", "a b"), "newline"),
        (("a", " \t"), "empty"),
        (("a" * 11, "a" * 9), "too long"),
        (("{a}", "{b}"), "placeholders differ"),
        (("once", "once"), "duplicate"),
        (("on  ce", " on ce"), None),
        (("{a}{a}", "{a}"), None),  # a translation may repeat a placeholder
        (("trailing\n", "newline"), None),
    ],
)
def test_each_flaw_has_its_reason(pair, reason):
    kept, dropped = clean([("once", "once"), pair], SMALL, DEFAULT_PATTERN)
    assert {name for name, count in dropped.items() if count} == ({reason} if reason else set())
    assert len(kept) == (1 if reason else 2)


def test_duplicates_are_kept_on_request():
    kept, _ = clean([("a", "b")] * 3, CleaningConfig(drop_duplicates=False), None)
    assert len(kept) == 3


@pytest.mark.parametrize(
    ("lengths", "reason"),
    [
        ((9, 9), None),
        ((9, 10), "too many tokens"),
        ((2, 4), None),
        ((2, 5), "length ratio"),
        ((1, 3), None),  # short pairs may have any ratio
    ],
)
def test_lengths_are_judged_alike_in_both_directions(lengths, reason):
    assert length_flaw(*lengths, SMALL) == length_flaw(*reversed(lengths), SMALL) == reason
