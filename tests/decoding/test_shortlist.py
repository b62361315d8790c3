import json
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.decoding.placeholders import SYMBOLS
from automoe.decoding.shortlist import FORMAT_VERSION, Shortlist
from automoe.decoding.symbols import EOS, UNK
from automoe.errors import BundleError


@st.composite
def _lists(draw):
    """What a shortlist is built from, with few non-empty rows, and the list itself."""
    vocab_size = draw(st.integers(UNK + 1, 40))
    tokens = st.integers(0, vocab_size - 1)
    always = draw(st.lists(tokens, max_size=5))
    rows = draw(st.dictionaries(tokens, st.lists(tokens, max_size=6), max_size=5))
    shortlist = Shortlist.from_rows(always, (rows.get(token, ()) for token in range(vocab_size)))
    sources = draw(
        st.lists(st.lists(tokens, max_size=6).map(lambda ids: np.array([*ids, EOS])), min_size=1, max_size=4)
    )
    return always, rows, shortlist, sources


@given(_lists())
def test_a_batch_lists_what_its_tokens_produce_itself_and_what_is_always_in(drawn):
    always, rows, shortlist, sources = drawn
    source = set(np.concatenate(sources).tolist())
    wanted = {EOS, UNK, *always, *source, *chain.from_iterable(rows.get(token, ()) for token in source)}
    tokens = shortlist.tokens(sources)
    assert tokens.dtype == np.int64
    assert tokens.tolist() == sorted(wanted)


@given(_lists())
def test_the_list_of_a_batch_is_that_of_its_sentences_together(drawn):
    *_, shortlist, sources = drawn
    together = set(chain.from_iterable(shortlist.tokens([source]).tolist() for source in sources))
    assert shortlist.tokens(sources).tolist() == sorted(together)


@given(_lists())
def test_a_shortlist_comes_back_from_its_bytes_and_gives_the_same_bytes_again(drawn):
    *_, shortlist, sources = drawn
    content = shortlist.to_bytes()
    back = Shortlist.from_bytes(content, file="shortlist", vocab_size=shortlist.vocab_size)
    for name in ("always_A", "offset_V", "token_P"):
        np.testing.assert_array_equal(getattr(back, name), getattr(shortlist, name))
    np.testing.assert_array_equal(back.tokens(sources), shortlist.tokens(sources))
    assert back.to_bytes() == content


@pytest.mark.parametrize(("vocab_size", "bytes_each"), [(65_536, 2), (65_537, 4)])
def test_the_last_token_of_a_large_vocabulary_comes_back(vocab_size, bytes_each):
    last = vocab_size - 1
    shortlist = Shortlist.from_rows([last], [*[()] * last, range(20, 1020)])
    content = shortlist.to_bytes()
    assert bytes_each * 1003 <= len(content) - 4 * (vocab_size + 1) < bytes_each * 1003 + 200
    back = Shortlist.from_bytes(content, file="shortlist", vocab_size=vocab_size)
    assert back.tokens([np.array([last])]).tolist() == [EOS, UNK, *range(20, 1020), last]


def test_a_sentence_of_unseen_tokens_can_be_copied():
    shortlist = Shortlist.from_rows([], [()] * 300)
    letters, bytes_, placeholders = range(20, 26), range(40, 48), range(4, 4 + len(SYMBOLS))
    source = np.array([*letters, *placeholders, *bytes_, EOS])
    assert set(source.tolist()) <= set(shortlist.tokens([source]).tolist())


def test_tokens_that_are_always_in_take_no_place_in_rows():
    shortlist = Shortlist.from_rows([5, 6], [[5, 6, 7, EOS, 7]] * 9)
    assert shortlist.always_A.tolist() == [EOS, UNK, 5, 6]
    assert shortlist.token_P.tolist() == [7] * 9


SHORTLIST = Shortlist.from_rows([4, 9], [[5, 6, 7], [8], *[[3, 1]] * 10])
CONTENT = SHORTLIST.to_bytes()


def _read(content, vocab_size=12):
    return Shortlist.from_bytes(content, file="my/shortlist.bin", vocab_size=vocab_size)


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_any_altered_byte_is_an_error_that_names_the_file(place, change):
    altered = bytearray(CONTENT)
    altered[place] ^= change
    with pytest.raises(BundleError, match=r"my/shortlist\.bin"):
        _read(bytes(altered))


@given(st.integers(0, len(CONTENT) - 1))
def test_a_file_that_was_cut_off_is_an_error(length):
    with pytest.raises(BundleError, match="damaged"):
        _read(CONTENT[:length])


@pytest.mark.parametrize("content", [b"", b"\n", b"[]\n", b"{}\n", b"\xff\xfe\n", CONTENT + b"more"])
def test_other_content_is_an_error(content):
    with pytest.raises(BundleError, match="damaged"):
        _read(content)


@pytest.mark.parametrize("vocab_size", [11, 13, 70_000])
def test_a_list_for_another_vocabulary_is_an_error_that_names_both_sizes(vocab_size):
    with pytest.raises(BundleError, match="another vocabulary") as caught:
        _read(CONTENT, vocab_size)
    assert (caught.value.value, caught.value.allowed) == (12, str(vocab_size))


def test_a_newer_version_says_what_to_install():
    line, _, rest = CONTENT.partition(b"\n")
    newer = json.dumps(json.loads(line) | {"format_version": FORMAT_VERSION + 1}).encode()
    with pytest.raises(BundleError, match="newer AutoMoE"):
        _read(newer + b"\n" + rest)


@pytest.mark.parametrize(
    ("always", "offsets", "tokens"),
    [
        ([EOS, UNK], [0, 1, 0, 2, 2], [3, 3]),  # offsets fall
        ([EOS, UNK], [0, 0, 0, 0, 1], [3, 3]),  # and end too early
        ([EOS, UNK], [0, 0, 0, 0, 1], [4]),  # a token beyond the vocabulary
        ([EOS, UNK, -1], [0, 0, 0, 0, 0], []),
        ([EOS], [0, 0, 0, 0, 0], []),  # without the unknown symbol
    ],
)
def test_arrays_that_do_not_fit_together_make_no_shortlist(always, offsets, tokens):
    with pytest.raises(ValueError):
        Shortlist(always_A=np.array(always), offset_V=np.array(offsets), token_P=np.array(tokens, dtype=np.int32))
