import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.decoding.placeholders import (
    MAX_PLACEHOLDERS,
    SYMBOLS,
    count_placeholder_errors,
    find_placeholders,
    hide_placeholders,
    remove_placeholders,
    restore_placeholders,
)
from automoe.errors import ConfigError, DataError

# Pieces that collide on purpose: repeated names, literal symbols, halves of both.
PIECES = st.sampled_from(
    [
        *SYMBOLS,
        "<ph7>",
        "<ph",
        "ph1>",
        "{a}",
        "{b}",
        "{c_1}",
        "{D}",
        "{e}",
        "{f}",
        "{g}",
        "{h}",
        "{",
        "}",
        "a",
        " ",
        "é",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=24).map("".join)


@given(TEXTS)
def test_restoring_what_was_hidden_gives_the_text_back(text):
    hidden, placeholders = hide_placeholders(text)
    assert restore_placeholders(hidden, placeholders) == text


@given(TEXTS)
def test_numbers_follow_the_first_appearance(text):
    hidden, placeholders = hide_placeholders(text)
    numbers = [int(number) for number in re.findall(r"<ph([1-6])>", hidden)]
    assert list(dict.fromkeys(numbers)) == list(range(1, len(placeholders) + 1))
    assert len(placeholders) == min(len(find_placeholders(text)), MAX_PLACEHOLDERS)


@given(TEXTS)
def test_up_to_six_placeholders_leave_none_in_the_text(text):
    hidden, placeholders = hide_placeholders(text)
    if len(find_placeholders(text)) <= MAX_PLACEHOLDERS:
        assert set(find_placeholders(hidden)) == set(SYMBOLS[: len(placeholders)])


@given(st.permutations(["{a}", "{b}", "<ph2>", "{c}", "x"]), st.permutations(["{a}", "{b}", "<ph2>", "{c}", "y"]))
def test_a_target_shares_the_numbers_of_its_source(source_parts, target_parts):
    source, target = " ".join(source_parts), " ".join(target_parts)
    hidden_source, placeholders = hide_placeholders(source)
    hidden_target, _ = hide_placeholders(target, numbering=placeholders)
    assert restore_placeholders(hidden_target, placeholders) == target
    for word, symbol in zip(source_parts, hidden_source.split(), strict=True):
        if word != "x":
            assert hidden_target.split()[target_parts.index(word)] == symbol


def test_the_seventh_distinct_placeholder_stays_text():
    hidden, placeholders = hide_placeholders("{a}{b}{c}{a}{d}{e}{f}{g}{h}")
    assert hidden == "<ph1><ph2><ph3><ph1><ph4><ph5><ph6>{g}{h}"
    assert placeholders == ("{a}", "{b}", "{c}", "{d}", "{e}", "{f}")


def test_a_number_without_a_placeholder_stays():
    assert restore_placeholders("<ph1> <ph2>", ("{a}",)) == "{a} <ph2>"


def test_removing_leaves_a_space():
    assert remove_placeholders("x{a}y<ph1>z") == "x y z"


@given(TEXTS, TEXTS)
def test_lost_and_invented_mirror_each_other(source, hypothesis):
    there = count_placeholder_errors([source], [hypothesis])
    back = count_placeholder_errors([hypothesis], [source])
    assert (there.lost, there.invented) == (back.invented, back.lost)
    assert there.expected - there.lost == back.expected - back.lost


def test_errors_are_counted_sentence_by_sentence():
    errors = count_placeholder_errors(["{a} {b} {a}", "{c}"], ["{a} <ph2>", "{c} {a}"])
    assert (errors.expected, errors.lost, errors.invented) == (3, 1, 2)


def test_unequal_numbers_of_sentences_are_an_error():
    with pytest.raises(DataError, match="1 hypotheses for 2 sources"):
        count_placeholder_errors(["a", "b"], ["a"])


@pytest.mark.parametrize("pattern", ["{(", "x*", "", "a(?i)b"])
def test_a_pattern_that_finds_no_placeholders_is_an_error(pattern):
    with pytest.raises(ConfigError, match="placeholder_pattern"):
        find_placeholders("text", pattern)
