"""A bundle is read back as it was written, or refused with the file that is wrong."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import automoe
from automoe.bundle import (
    CARD_FILE,
    INT8_WEIGHTS_FILE,
    MANIFEST_FILE,
    REQUIRED_FILES,
    SEGMENTER_FILE,
    SHORTLIST_FILE,
    WEIGHTS_FILE,
    BundleManifest,
    graph_file,
    read_bundle,
    write_bundle,
)
from automoe.bundle.manifest import dump_manifest
from automoe.errors import BundleError, ConfigError

MANIFEST = BundleManifest(
    architecture={"encoder": {"dim": 8, "layers": []}},
    model={"vocab_size": 100, "dropout": 0.1},
    source_language="en",
    target_language="de",
    placeholder_pattern=r"\{[^{}]*\}",
    max_source_tokens=256,
    decoding={"beam": 5, "length_penalty": 1e-05},
    info={"bleu": 21.5, "signature": "nrefs:1|ß"},
)
FILES = {WEIGHTS_FILE: bytes(range(256)), SEGMENTER_FILE: b"pieces", CARD_FILE: "# Karte, auf Deutsch: ß\n".encode()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "whole", MANIFEST, FILES).folder


@pytest.fixture
def bundle(tmp_path) -> Path:
    return write_bundle(tmp_path / "bundle", MANIFEST, FILES).folder


def rewrite_manifest(folder: Path, **changes) -> None:
    """Changes the manifest as another version of AutoMoE might write it, checksum included."""
    manifest = dataclasses.replace(read_bundle(folder).manifest, **changes)
    (folder / MANIFEST_FILE).write_text(dump_manifest(manifest))


def test_what_is_written_is_read_back(bundle):
    found = read_bundle(bundle)
    assert dataclasses.replace(found.manifest, files={}) == MANIFEST
    assert {name: found.path(name).read_bytes() for name in found.manifest.files} == FILES


def test_files_on_disk_are_copied(tmp_path):
    weights = tmp_path / "elsewhere.bin"
    weights.write_bytes(b"weights")
    bundle = write_bundle(tmp_path / "bundle", MANIFEST, FILES | {WEIGHTS_FILE: weights})
    assert bundle.path(WEIGHTS_FILE).read_bytes() == b"weights" and weights.exists()


def test_nothing_is_left_beside_the_bundle(bundle):
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]
    assert {path.name for path in bundle.iterdir()} == {*REQUIRED_FILES, MANIFEST_FILE}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_refused_and_the_file_named(whole, data):
    path = whole / data.draw(st.sampled_from([*REQUIRED_FILES, MANIFEST_FILE]))
    content = path.read_bytes()
    place, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    path.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :])
    try:
        with pytest.raises(BundleError) as caught:
            read_bundle(whole)
        assert path.name in str(caught.value) and caught.value.hint
    finally:
        path.write_bytes(content)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_file_that_is_cut_off_is_refused(whole, data):
    path = whole / data.draw(st.sampled_from([*REQUIRED_FILES, MANIFEST_FILE]))
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    try:
        with pytest.raises(BundleError, match=path.name):
            read_bundle(whole)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: is missing"):
        read_bundle(bundle)


def test_an_edited_manifest_is_refused(bundle):
    path = bundle / MANIFEST_FILE
    path.write_text(path.read_text().replace('"beam": 5', '"beam": 6'))
    with pytest.raises(BundleError, match="was changed after it was written"):
        read_bundle(bundle)


def test_a_newer_format_names_the_version_that_wrote_it(bundle):
    rewrite_manifest(bundle, format_version=99, automoe_version="7.1")
    with pytest.raises(BundleError, match=r"AutoMoE 7\.1") as caught:
        read_bundle(bundle)
    assert caught.value.value == 99 and "7.1" in caught.value.hint


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.write_text("x"), "is a file"),
        (lambda path: path.mkdir(), "no bundle"),
        (lambda path: (path.mkdir(), (path / MANIFEST_FILE).write_text("{}")), "no bundle"),
        (lambda path: (path.mkdir(), (path / MANIFEST_FILE).write_text("[1]")), "no bundle"),
        (lambda path: (path.mkdir(), (path / MANIFEST_FILE).write_text("")), "cut off"),
        (lambda path: (path.mkdir(), (path / MANIFEST_FILE).mkdir()), "no bundle"),
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path, make, problem):
    make(tmp_path / "x")
    with pytest.raises(BundleError, match=problem) as caught:
        read_bundle(tmp_path / "x")
    assert str(tmp_path / "x") in str(caught.value) and caught.value.hint


def test_a_manifest_that_leads_out_of_the_folder_is_refused(bundle):
    entry = read_bundle(bundle).manifest.files[CARD_FILE]
    rewrite_manifest(bundle, files={**read_bundle(bundle).manifest.files, "../secret": entry})
    with pytest.raises(BundleError, match="plain name"):
        read_bundle(bundle)


def test_a_bundle_is_replaced_by_a_newer_one(bundle):
    write_bundle(bundle, dataclasses.replace(MANIFEST, target_language="fr"), FILES)
    assert read_bundle(bundle).manifest.target_language == "fr"


def test_a_bundle_is_replaced_by_one_of_fewer_files(tmp_path):
    optional = {name: b"1" for name in (INT8_WEIGHTS_FILE, SHORTLIST_FILE, graph_file("encoder", "int8"))}
    folder = write_bundle(tmp_path / "bundle", MANIFEST, FILES | optional).folder
    write_bundle(folder, MANIFEST, FILES)
    assert {path.name for path in folder.iterdir()} == {*FILES, MANIFEST_FILE}


@pytest.mark.parametrize("name", ["thesis.tex", CARD_FILE])
def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("years of work")
    with pytest.raises(BundleError, match=re.escape(name)):
        write_bundle(tmp_path, MANIFEST, FILES)
    assert (tmp_path / name).read_text() == "years of work"


def test_what_a_killed_writer_left_is_taken_over(tmp_path):
    aside = tmp_path / "bundle.partial"
    aside.mkdir()
    (aside / WEIGHTS_FILE).write_bytes(FILES[WEIGHTS_FILE][:9])
    write_bundle(tmp_path / "bundle", MANIFEST, FILES)
    assert not aside.exists() and read_bundle(tmp_path / "bundle").path(WEIGHTS_FILE).stat().st_size == 256


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_a_user_keeps_under_the_name_of_the_folder_aside_is_left_alone(tmp_path, is_folder):
    mine = tmp_path / "bundle.partial" / "thesis.tex" if is_folder else tmp_path / "bundle.partial"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("years of work")
    with pytest.raises(BundleError, match=r"bundle\.partial: .*(thesis\.tex|is a file)"):
        write_bundle(tmp_path / "bundle", MANIFEST, FILES)
    assert mine.read_text() == "years of work" and not (tmp_path / "bundle").exists()


def test_a_bundle_without_weights_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match=WEIGHTS_FILE):
        write_bundle(tmp_path / "bundle", MANIFEST, {k: v for k, v in FILES.items() if k != WEIGHTS_FILE})
    assert not any(tmp_path.iterdir())


def test_a_bundle_that_takes_no_source_at_all_cannot_be_described():
    with pytest.raises(ConfigError, match="max_source_tokens=1"):
        dataclasses.replace(MANIFEST, max_source_tokens=1)


def test_the_manifest_is_json_that_names_its_maker(bundle):
    form = json.loads((bundle / MANIFEST_FILE).read_text())
    assert form["automoe_version"] == automoe.__version__ and form["format_version"] == 1


def test_reading_a_bundle_needs_numpy_at_most():
    loaded = "import automoe.bundle, sys; print(*{name.split('.')[0] for name in sys.modules})"
    names = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "safetensors", "sentencepiece", "fairseq"} & set(names)
