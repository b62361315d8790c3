import hashlib
import subprocess
import sys

import pytest

from automoe.data.config import VocabularyConfig
from automoe.data.segmentation import train_segmenter
from automoe.decoding.placeholders import DEFAULT_PATTERN
from automoe.decoding.segmenter import Segmenter
from automoe.errors import DataError
from tests.data.fixture_corpus import FOLDER

TEXTS = [line for language in ("en", "de") for line in (FOLDER / f"train.{language}").read_text("utf-8").splitlines()]

TRAIN = """
import hashlib, sys
from automoe.data.config import VocabularyConfig
from automoe.data.segmentation import train_segmenter
from tests.data.test_segmentation import TEXTS
print(hashlib.sha256(train_segmenter(TEXTS, VocabularyConfig(size=110, kind=sys.argv[1]), None)).hexdigest())
"""


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_another_process_trains_the_same_bytes(kind):
    here = hashlib.sha256(train_segmenter(TEXTS, VocabularyConfig(size=110, kind=kind), None)).hexdigest()
    there = subprocess.run([sys.executable, "-c", TRAIN, kind], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("byte_fallback", [False, True])
def test_the_vocabulary_has_the_size_asked_for(kind, byte_fallback):
    size = 340 if byte_fallback else 110
    config = VocabularyConfig(size=size, kind=kind, byte_fallback=byte_fallback)
    segmenter = Segmenter(train_segmenter(TEXTS, config, DEFAULT_PATTERN))
    assert segmenter.vocab_size == size


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_vocabulary_too_large_is_an_error_that_names_the_largest_which_works(kind):
    with pytest.raises(DataError, match=r"data\.vocabulary\.size=5000: .*too small.*at most (\d+)") as caught:
        train_segmenter(TEXTS, VocabularyConfig(size=5000, kind=kind), None)
    largest = int("".join(filter(str.isdigit, caught.value.allowed)))
    assert Segmenter(train_segmenter(TEXTS, VocabularyConfig(size=largest, kind=kind), None)).vocab_size == largest


def test_a_vocabulary_too_small_for_the_characters_is_an_error():
    with pytest.raises(DataError, match=r"data\.vocabulary\.size=20: the characters .* alone need more room"):
        train_segmenter(TEXTS, VocabularyConfig(size=20), None)


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_no_text_is_an_error(texts):
    with pytest.raises(DataError, match="no text to train"):
        train_segmenter(texts, VocabularyConfig(), None)


def test_long_sentences_are_not_skipped():
    long = " ".join(["Quarz", *TEXTS])  # beyond SentencePiece's own limit of 4192 bytes
    segmenter = Segmenter(train_segmenter([long], VocabularyConfig(size=100), DEFAULT_PATTERN))
    assert segmenter.decode(segmenter.encode("Quarz").ids_L) == "Quarz"
