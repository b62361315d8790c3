"""One family, one wording: place, subject, problem, what is allowed, how to mend it."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import AutoMoEError, ConfigError, DataError, DependencyError, did_you_mean

WORDS = st.text(min_size=1, max_size=20)
KINDS = [kind for kind in AutoMoEError.__subclasses__() if kind not in (ConfigError, DependencyError)]
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "file": WORDS,
        "line": st.integers(1, 999),
        "key": WORDS,
        "value": WORDS | st.integers() | st.none(),
        "allowed": WORDS,
        "hint": WORDS,
    },
)


@given(WORDS, FIELDS)
def test_every_field_that_is_given_is_shown(problem, fields):
    text = str(DataError(problem, **fields))
    shown = {"file", "key", "allowed", "hint"} & fields.keys()
    assert problem in text and all(fields[name] in text for name in shown)
    assert ("key" in fields and "value" in fields) <= (f"{fields.get('key')}=" in text)
    assert ("file" in fields and "line" in fields) <= (f"{fields.get('file')}:{fields.get('line')}: " in text)


@given(st.sampled_from(KINDS), WORDS, FIELDS)
def test_an_error_crosses_a_process_border_with_its_fields(kind, problem, fields):
    error = kind(problem, **fields)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind and vars(copy) == vars(error) and str(copy) == str(error)


@pytest.mark.parametrize("error", [ConfigError("beam", 0, allowed=">= 1"), DependencyError("torch", extra="torch")])
def test_errors_with_arguments_of_their_own_cross_it_too(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and vars(copy) == vars(error)


def test_the_parts_stand_in_the_order_of_the_style_guide():
    error = ConfigError("decoder.width", "3O72", "is not a whole number", file="mine.yaml", line=14, hint="Try 3072")
    assert str(error) == "mine.yaml:14: decoder.width=3O72: is not a whole number. Try 3072"
    assert str(ConfigError("beam", 0, allowed=">= 1")) == "beam=0: is not allowed (allowed: >= 1)"


def test_none_is_a_value_and_no_value_is_none():
    assert str(ConfigError("beam", None)) == "beam=None: is not allowed"
    assert str(ConfigError("beam")) == "beam: is not allowed"


@given(st.text(min_size=100))
def test_a_long_value_is_cut(value):
    assert len(str(ConfigError("key", value))) < 110


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    assert "pip install 'automoe[torch]'" in str(DependencyError("sentencepiece", extra="torch"))


@given(st.lists(st.text("abc", min_size=3, max_size=6), min_size=1))
def test_a_known_word_is_its_own_nearest(known):
    assert did_you_mean(known[0], known) == f"Did you mean {known[0]!r}?"


def test_nothing_near_gives_no_advice():
    assert did_you_mean("zzz", ["seed", "run"]) is None and did_you_mean("seed", []) is None
