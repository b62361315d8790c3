import gzip
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.data.config import DataConfig
from automoe.data.corpus import open_corpus
from automoe.data.text import TextCorpus
from automoe.errors import ConfigError, DataError

LINES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


def _corpus(folder, source: bytes, target: bytes, ending: str = "") -> TextCorpus:
    files = folder / f"a.en{ending}", folder / f"a.de{ending}"
    for file, content in zip(files, (source, target), strict=True):
        file.write_bytes(gzip.compress(content) if ending else content)
    return TextCorpus({"train": files})


@given(st.lists(st.tuples(LINES, LINES), min_size=1), st.sampled_from(["", ".gz"]), st.sampled_from(["\n", "\r\n"]))
def test_lines_come_back_as_they_were_written(tmp_path_factory, pairs, ending, newline):
    source, target = ("".join(pair[side] + newline for pair in pairs).encode() for side in (0, 1))
    corpus = _corpus(tmp_path_factory.mktemp("text"), source, target, ending)
    assert list(corpus.pairs("train")) == pairs


@pytest.mark.parametrize("lines", [(3, 2), (2, 3), (3, 0)])
def test_files_of_unequal_length_are_an_error_that_names_both_lengths(tmp_path, lines):
    corpus = _corpus(tmp_path, b"a\n" * lines[0], b"b\n" * lines[1])
    with pytest.raises(DataError, match=rf"a\.en: has {lines[0]} lines, .*a\.de has {lines[1]}"):
        list(corpus.pairs("train"))


def test_empty_files_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"a\.en: the file is empty"):
        list(_corpus(tmp_path, b"", b"").pairs("train"))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_invalid_utf8_is_an_error_that_names_file_and_line(tmp_path, ending):
    corpus = _corpus(tmp_path, b"a\nb\nc\n", b"a\nb\xff\nc\n", ending)
    with pytest.raises(DataError, match=rf"a\.de{re.escape(ending)}:2: is not valid UTF-8: byte 0xff at position 2"):
        list(corpus.pairs("train"))


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"no gzip", lambda b: b[:20] + b"\xff" * 9 + b[29:]])
def test_a_damaged_gzip_file_is_an_error(tmp_path, damage):
    corpus = _corpus(tmp_path, b"some sentence\n" * 99, b"b\n" * 99, ".gz")
    file = tmp_path / "a.en.gz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=r"a\.en\.gz: is a damaged gzip file"):
        list(corpus.pairs("train"))


def test_a_missing_file_is_an_error_for_pairs_and_for_the_fingerprint(tmp_path):
    corpus = _corpus(tmp_path, b"a\n", b"b\n")
    (tmp_path / "a.de").unlink()
    with pytest.raises(DataError, match=r"a\.de: there is no such file"):
        list(corpus.pairs("train"))
    with pytest.raises(DataError, match=r"a\.de: data\.train_target: there is no such file"):
        corpus.fingerprint()


def test_the_fingerprint_changes_with_any_file_and_not_with_the_path(tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    first = _corpus(tmp_path / "one", b"a\n", b"b\n").fingerprint()
    assert _corpus(tmp_path / "two", b"a\n", b"b\n").fingerprint() == first
    assert _corpus(tmp_path / "three", b"a\n", b"c\n").fingerprint() != first


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "data.train_source"),
        ({"train_source": "a"}, "data.train_target"),
        ({"train_source": "a", "train_target": "b", "test_target": "c"}, "data.test_source"),
        ({"train_source": "a", "train_target": "b", "wheel": "w"}, "data.wheel=w"),
    ],
)
def test_options_that_lack_or_do_not_belong_are_named(options, named):
    with pytest.raises(ConfigError, match=named):
        open_corpus(DataConfig(corpus="text", **options))


def test_multi30k_is_read_as_text():
    root = os.environ.get("AUTOMOE_DATA")
    if not root or not (Path(root) / "multi30k").is_dir():
        pytest.skip("AUTOMOE_DATA names no folder that holds multi30k/: Multi30k is NOT tested")
    folder = Path(root) / "multi30k"
    corpus = open_corpus(
        DataConfig(
            corpus="text",
            train_source=str(folder / "train.en.gz"),
            train_target=str(folder / "train.de.gz"),
            valid_source=str(folder / "val.en.gz"),
            valid_target=str(folder / "val.de.gz"),
        )
    )
    assert corpus.splits() == ("train", "valid")
    assert sum(1 for _ in corpus.pairs("train")) == 29_000
    assert sum(1 for _ in corpus.pairs("valid")) == 1_014
