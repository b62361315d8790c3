import gzip
import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from automoe.data.config import DataConfig
from automoe.data.corpus import open_corpus
from automoe.data.multi30k import LANGUAGES
from automoe.data.prepare import prepare
from automoe.errors import ConfigError, DataError
from tests.data.fixture_corpus import FOLDER, fixture_config

STEMS = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
CONFIG = DataConfig(corpus="multi30k", placeholder_pattern=None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Multi30k of English and German fixture sentences: the German files are packed, the English ones are not."""
    folder = tmp_path / "multi30k"
    folder.mkdir()
    for split, stem in STEMS.items():
        shutil.copy(FOLDER / f"{split}.en", folder / f"{stem}.en")
        (folder / f"{stem}.de.gz").write_bytes(gzip.compress((FOLDER / f"{split}.de").read_bytes(), mtime=0))
    monkeypatch.setenv("AUTOMOE_DATA", str(tmp_path))
    return folder


def test_the_prepared_corpus_is_that_of_text_with_the_same_files(folder, tmp_path):
    text = fixture_config(placeholder_pattern=None)
    prepare(text, tmp_path / "text")
    prepare(replace(CONFIG, vocabulary=text.vocabulary), tmp_path / "same")
    for kind in ("text", "same"):  # its summary names the corpus
        (tmp_path / kind / "data.json").unlink()
    text, same = (
        {file.relative_to(tmp_path / kind): file.read_bytes() for file in (tmp_path / kind).rglob("*.*")}
        for kind in ("text", "same")
    )
    assert len(text) > 12 and same == text


@pytest.mark.parametrize(("source", "target"), [("en", "de"), ("de", "en")])
def test_both_directions_have_predefined_sets_and_pair_line_with_line(folder, source, target):
    corpus = open_corpus(replace(CONFIG, source=source, target=target))
    assert corpus.splits() == ("train", "valid", "test")
    for split in corpus.splits():
        lines = [(FOLDER / f"{split}.{language}").read_text("utf-8").splitlines() for language in (source, target)]
        assert list(corpus.pairs(split)) == list(zip(*lines, strict=True))


def test_the_fingerprint_follows_the_content_and_not_the_place(folder, tmp_path, monkeypatch):
    before = open_corpus(CONFIG).fingerprint()
    shutil.copytree(tmp_path, tmp_path / "moved")
    monkeypatch.setenv("AUTOMOE_DATA", str(tmp_path / "moved"))
    assert open_corpus(CONFIG).fingerprint() == before
    with (tmp_path / "moved" / "multi30k" / "val.en").open("a") as stream:
        stream.write(".")
    assert open_corpus(CONFIG).fingerprint() != before


@pytest.mark.parametrize("named", [None, ""])
def test_without_the_variable_the_error_says_what_it_is_and_where_the_files_are(monkeypatch, named):
    monkeypatch.delenv("AUTOMOE_DATA", raising=False)
    if named is not None:
        monkeypatch.setenv("AUTOMOE_DATA", named)
    with pytest.raises(DataError) as caught:
        open_corpus(CONFIG)
    for word in ("AUTOMOE_DATA=FOLDER", "github.com/multi30k/dataset", "{train,val,test_2016_flickr}.{en,de}.gz"):
        assert word in str(caught.value)


def test_a_missing_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOMOE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"^{tmp_path}/multi30k: there is no such folder .* AUTOMOE_DATA"):
        open_corpus(CONFIG)


@pytest.mark.parametrize("name", ["train.en", "val.de.gz", "test_2016_flickr.de.gz"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    plain = name.removesuffix(".gz")
    with pytest.raises(DataError, match=rf"^{folder}/{plain}\.gz: there is no such file, nor {plain}\."):
        open_corpus(CONFIG)


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_language_that_it_lacks_is_an_error_that_names_those_it_has(folder, side):
    with pytest.raises(ConfigError, match=rf"data\.{side}=pt: .*allowed: cs, de, en, fr"):
        open_corpus(replace(CONFIG, **{side: "pt"}))


@pytest.mark.parametrize(
    "options", [{"wheel": "w"}, {"train_source": "a"}, {"test_target": "b"}, {"options": {"word": "hello"}}]
)
def test_options_of_other_corpora_are_refused(folder, options):
    with pytest.raises(ConfigError, match=r"the corpus 'multi30k' has no such option"):
        open_corpus(replace(CONFIG, **options))


def test_the_real_corpus_has_29000_pairs_in_every_direction():
    root = os.environ.get("AUTOMOE_DATA")
    if not root or not (Path(root) / "multi30k").is_dir():
        pytest.skip("AUTOMOE_DATA names no folder that holds multi30k/: Multi30k is NOT tested")
    for source, target in itertools.permutations(LANGUAGES, 2):
        corpus = open_corpus(replace(CONFIG, source=source, target=target))
        sizes = {split: sum(1 for _ in corpus.pairs(split)) for split in corpus.splits()}
        assert sizes == {"train": 29_000, "valid": 1_014, "test": 1_000}
