import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.data.config import VocabularyConfig
from automoe.data.segmentation import train_segmenter
from automoe.decoding.placeholders import DEFAULT_PATTERN, SYMBOLS
from automoe.decoding.segmenter import Segmenter, normalise
from automoe.decoding.symbols import EOS, UNK
from automoe.errors import DataError

ALPHABET = "abcdefghijklmnopqrstuvwxyzäöüßABCDEWX0123456789.,:;!?()<>{}_-/%°"
TEXTS = [
    " ".join(ALPHABET),
    "Der Wert von {a}, {b}.",
    "Schalte die Lampe in {room} ein.",
    "Turn on the lamp.",
    "<s> </s>",
] * 4


def _segmenter(**options):
    return Segmenter(train_segmenter(TEXTS, VocabularyConfig(**options), DEFAULT_PATTERN))


PLAIN = _segmenter(size=85)
BYTES = _segmenter(size=340, byte_fallback=True)


@given(st.text())
def test_with_byte_fallback_any_text_survives_in_its_normal_form(text):
    segmented = BYTES.encode(text)
    assert BYTES.decode(segmented.ids_L, segmented.placeholders) == normalise(text)


@given(st.lists(st.sampled_from([*SYMBOLS, "{a}", "{b}", "{c}", " ", ", ", "x", "Der", "<ph", "</s>"])).map("".join))
def test_spacing_around_placeholders_survives(text):
    segmented = PLAIN.encode(text)
    assert PLAIN.decode(segmented.ids_L, segmented.placeholders) == normalise(text)


@pytest.mark.parametrize(
    "text", ["Der Wert von {a}, {b}.", "{a}{b}", "({a})", "{a} {a}: <ph2>", "x{a}x", "</s> <pad>"]
)
def test_examples_come_back_exactly(text):
    segmented = PLAIN.encode(text)
    assert PLAIN.decode(segmented.ids_L, segmented.placeholders) == text


@given(st.text())
def test_any_text_has_ids_of_the_vocabulary_and_ends_once(text):
    ids_L = PLAIN.encode(text).ids_L
    assert ids_L.dtype == np.int64
    assert list(np.flatnonzero(ids_L == EOS)) == [len(ids_L) - 1]
    assert ((ids_L >= UNK) | (ids_L == EOS)).all() and (ids_L < PLAIN.vocab_size).all()
    assert (ids_L == PLAIN.encode(text).ids_L).all()


@given(st.text())
def test_normal_form_is_stable_one_line_nfc_and_utf8(text):
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == once.strip() and len(once.splitlines()) <= 1
    assert not any(unicodedata.category(character) == "Cc" for character in once)
    once.encode()


def test_lone_surrogates_become_the_replacement_character():
    assert normalise("a\ud800b") == "a\ufffdb"


def test_unknown_characters_become_the_unknown_mark_and_keep_spacing():
    segmented = PLAIN.encode("Der 日本, Wert")
    assert UNK in segmented.ids_L
    assert PLAIN.decode(segmented.ids_L) == "Der ⁇, Wert"


def test_empty_text_is_the_end_symbol_alone():
    assert PLAIN.encode(" \n\x00").ids_L.tolist() == [EOS]
    assert PLAIN.decode([EOS]) == ""


def test_begin_padding_and_end_are_left_out_wherever_they_stand():
    ids = PLAIN.encode("Der Wert").ids_L.tolist()
    assert PLAIN.decode([0, 1, ids[0], 2, *ids[1:], 1, 1]) == "Der Wert"


def test_a_target_is_numbered_by_its_source():
    source = PLAIN.encode("{a} {b}")
    target = PLAIN.encode("{b} {a}", numbering=source.placeholders)
    assert target.placeholders == ("{a}", "{b}")
    pieces = PLAIN.pieces()
    assert [pieces[index] for index in target.ids_L if index != EOS] == ["▁", "<ph2>", "▁", "<ph1>"]


def test_without_a_pattern_placeholders_are_ordinary_text():
    segmenter = Segmenter(PLAIN.model, None)
    segmented = segmenter.encode("Der {a} <ph3>")
    assert segmented.placeholders == ()
    assert segmenter.decode(segmented.ids_L) == "Der {a} <ph3>"


def test_pieces_stand_in_the_order_of_ids():
    pieces = PLAIN.pieces()
    assert len(pieces) == PLAIN.vocab_size == 85
    assert pieces[:10] == ["<s>", "<pad>", "</s>", "<unk>", *SYMBOLS]


def test_digest_tells_models_and_patterns_apart():
    digests = [PLAIN.digest, BYTES.digest, Segmenter(PLAIN.model, None).digest]
    assert len(set(digests)) == 3
    assert PLAIN.digest == Segmenter(PLAIN.model, DEFAULT_PATTERN).digest


@pytest.mark.parametrize("model", [b"", b"no model", PLAIN.model[:200], PLAIN.model[:-3]])
def test_a_damaged_model_is_an_error_that_names_the_file(tmp_path, model):
    file = tmp_path / "segmenter.model"
    file.write_bytes(model)
    with pytest.raises(DataError, match=r"segmenter\.model: "):
        Segmenter.from_file(file)


def test_a_missing_model_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such SentencePiece model"):
        Segmenter.from_file(tmp_path / "none.model")


def _foreign_model(**options):
    import io

    import sentencepiece

    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=stream, vocab_size=75, minloglevel=2, **options
    )
    return stream.getvalue()


def test_a_model_with_other_special_ids_is_an_error():
    with pytest.raises(DataError, match="bos_id=0 pad_id=1 eos_id=2 unk_id=3"):
        Segmenter(_foreign_model())


def test_a_model_without_placeholder_symbols_serves_without_a_pattern_only():
    model = _foreign_model(bos_id=0, pad_id=1, eos_id=2, unk_id=3)
    with pytest.raises(DataError, match="lacks the placeholder symbols <ph1>"):
        Segmenter(model)
    assert Segmenter(model, None).vocab_size == 75


def test_importing_the_module_does_not_import_sentencepiece():
    code = "import sys, automoe.decoding.segmenter; sys.exit('sentencepiece' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
