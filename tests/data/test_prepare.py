import gzip
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from automoe.data.config import CleaningConfig, SplitConfig
from automoe.data.prepare import SIDES, PreparedData, prepare
from automoe.data.splits import SPLITS, split_key
from automoe.decoding.segmenter import normalise
from automoe.errors import DataError
from automoe.files import sealed_json
from tests.data.fixture_corpus import FOLDER, fixture_config

CUT = fixture_config(
    valid_source=None, valid_target=None, test_source=None, test_target=None,
    split=SplitConfig(valid_size=30, test_size=40),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "data"
    prepare(CUT, out)
    return out


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def _bytes(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_another_process_prepares_the_same_bytes(folder, tmp_path):
    code = (
        "import sys, pathlib; from automoe.data import prepare; from tests.data.test_prepare import CUT;"
        "prepare(CUT, pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "again")], check=True)
    assert _bytes(tmp_path / "again") == _bytes(folder)


def test_a_folder_that_a_killed_process_left_is_overwritten(copy, folder):
    (copy / "data.json").unlink()
    (copy / "text" / "train.src").write_text("half a")
    (copy / "ids" / "train.src.npy").unlink()
    prepare(CUT, copy)
    assert _bytes(copy) == _bytes(folder)


def test_ids_decode_to_the_text_of_each_split_and_side(folder):
    data = PreparedData.open(folder)
    for split in SPLITS:
        sources = data.text(split, "src")
        for side in SIDES:
            texts, ids = data.text(split, side), data.ids(split, side)
            assert len(texts) == len(ids) == data.summary.sizes[split]
            assert ids.num_tokens == data.summary.tokens[split][side]
            for source, text, ids_L in zip(sources, texts, ids, strict=True):
                placeholders = data.segmenter.encode(source).placeholders
                assert data.segmenter.decode(ids_L, placeholders) == text


def test_cut_splits_share_no_source_and_have_the_sizes_asked_for(folder):
    data = PreparedData.open(folder)
    pattern = data.summary.placeholder_pattern
    keys = [{split_key(text, pattern) for text in data.text(split, "src")} for split in SPLITS]
    assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])
    assert data.summary.sizes == {"train": 330, "valid": 30, "test": 40}
    assert data.summary.overlaps["source"] == {"valid": 0, "test": 0}


def test_the_summary_accounts_for_every_pair(folder):
    summary = PreparedData.open(folder).summary
    assert summary.pairs_read == sum(summary.sizes.values()) + sum(summary.dropped.values())
    assert "400 pairs read" in str(summary)


def test_opening_gives_back_the_summary_that_preparing_returned(tmp_path):
    summary = prepare(fixture_config(), tmp_path / "data")
    data = PreparedData.open(tmp_path / "data")
    assert data.summary == summary
    assert (data.source_lang, data.target_lang) == ("en", "de")
    assert data.segmenter.digest == summary.segmenter


def test_predefined_sets_are_used_whole(tmp_path):
    lines = (FOLDER / "test.en").read_text("utf-8").splitlines()
    lines[0], lines[1], lines[2] = "", "long " * 300, lines[3]
    (tmp_path / "test.en").write_text("\n".join(lines), "utf-8")
    config = fixture_config(test_source=str(tmp_path / "test.en"), cleaning=CleaningConfig(max_tokens=30))
    summary = prepare(config, tmp_path / "data")
    assert summary.sizes["test"] == 40
    assert PreparedData.open(tmp_path / "data").text("test", "src") == [normalise(line) for line in lines]


def test_overlap_of_a_predefined_set_with_training_is_counted(tmp_path):
    config = fixture_config(test_source=str(FOLDER / "train.en"), test_target=str(FOLDER / "train.de"))
    summary = prepare(config, tmp_path / "data")
    assert summary.overlaps == {"source": {"valid": 0, "test": 400}, "target": {"valid": 0, "test": 400}}


def test_no_sentence_of_a_cut_split_has_more_than_the_allowed_tokens(tmp_path):
    summary = prepare(replace(CUT, cleaning=CleaningConfig(max_tokens=20)), tmp_path / "data")
    data = PreparedData.open(tmp_path / "data")
    assert summary.dropped["too many tokens"] > 0
    assert max(data.ids(split, side).lengths.max() for split in SPLITS for side in SIDES) == 20


def test_no_pair_left_is_an_error_that_counts_the_reasons(tmp_path):
    with pytest.raises(DataError, match=r"no pair is left for train \(dropped: 330 too many tokens\)"):
        prepare(replace(CUT, cleaning=CleaningConfig(max_tokens=2)), tmp_path / "data")


def test_compressed_files_give_the_same_data(folder, tmp_path):
    for language in ("en", "de"):
        (tmp_path / f"t.{language}.gz").write_bytes(gzip.compress((FOLDER / f"train.{language}").read_bytes()))
    config = replace(CUT, train_source=str(tmp_path / "t.en.gz"), train_target=str(tmp_path / "t.de.gz"))
    prepare(config, tmp_path / "data")
    ours, theirs = _bytes(tmp_path / "data"), _bytes(folder)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == ["data.json"]  # the files' fingerprint


@pytest.mark.parametrize(
    "name", ["segmenter.model", "text/valid.tgt", "ids/test.src.npy", "ids/train.tgt.offsets.npy"]
)
@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_a_missing_or_altered_file_is_an_error_that_names_it(copy, name, damage):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).unlink() if damage == "missing" else (copy / name).write_bytes(content)
    with pytest.raises(DataError, match=name.replace(".", r"\.") + ".*(missing|altered)"):
        PreparedData.open(copy)


def _rewrite(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def _reseal(file, **changes):
    content = json.loads(file.read_text())
    del content["checksum"]
    file.write_text(sealed_json(content | changes))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda file: file.unlink(), "missing or was not finished"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "summary is damaged"),
        (lambda file: file.write_text("[]"), "summary is damaged"),
        (lambda file: _rewrite(file, format=99), "another version"),
        (lambda file: _rewrite(file, vocab_size=111), "altered after it was written"),
        (lambda file: _rewrite(file, placeholder_pattern=None), "altered after it was written"),
        (lambda file: _rewrite(file, surprise=1), "altered after it was written"),
        (lambda file: _reseal(file, surprise=1), "summary is damaged"),
    ],
)
def test_a_summary_that_is_missing_damaged_or_of_another_version_is_an_error(copy, damage, problem):
    damage(copy / "data.json")
    with pytest.raises(DataError, match=rf"data\.json: .*{problem}"):
        PreparedData.open(copy)
