"""Files and folders are whole or absent; digests do not depend on the order of keys."""

import csv
import hashlib
import io
import json
import os
import re
import threading

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from automoe.files import (
    csv_text,
    digest_of,
    finish_folder,
    is_sealed,
    sealed_json,
    sha256_of,
    write_atomically,
    write_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_reader_sees_the_old_or_the_new_file_and_no_part_of_one(tmp_path):
    path, versions = tmp_path / "file", (b"a" * 100_000, b"b" * 200_000)
    write_atomically(path, versions[0])
    stop, seen = threading.Event(), set()

    def read():
        while not stop.is_set():
            seen.add(path.read_bytes())

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(30):
        write_atomically(path, versions[1])
        write_atomically(path, versions[0])
    stop.set()
    thread.join()
    assert seen and seen <= set(versions)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"


def test_the_leftover_of_a_killed_writer_is_taken_over(tmp_path):
    (tmp_path / "file.partial").write_text("half of something longer")
    write_atomically(tmp_path / "file", "whole")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "whole")]


@given(JSON)
def test_json_is_read_back_as_it_was_written(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert json.loads(path.read_bytes()) == value


PRINTED = st.text(st.characters(codec="utf-8", exclude_characters="\r"))  # which csv quotes since Python 3.13 only
CELLS = {"text": PRINTED, "count": st.integers(), "share": st.floats(allow_nan=False)}


@given(st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=3))
def test_csv_is_read_back_as_it_was_written(rows):
    read = list(csv.DictReader(io.StringIO(csv_text(rows), newline="")))
    assert [{"text": row["text"], "count": int(row["count"]), "share": float(row["share"])} for row in read] == rows


@given(st.floats(1e-9, 1e9), st.integers(1, 9))
def test_numbers_in_csv_have_the_digits_that_were_asked_for(value, digits):
    header, row = csv_text([{"share": value, "count": 123456789, "none": None}], digits).splitlines()
    share, count, none = row.split(",")
    assert (header, count, none) == ("share,count,none", "123456789", "")
    assert float(share) == pytest.approx(value, rel=0.5 * 10 ** (1 - digits) * (1 + 1e-6), abs=0)
    assert len(re.sub(r"e.*|\D", "", share).strip("0")) <= digits


def test_rows_of_other_keys_make_no_csv():
    with pytest.raises(ValueError, match="other"):
        csv_text([{"one": 1}, {"one": 1, "other": 2}])


def test_a_finished_folder_holds_what_the_partial_one_held(tmp_path):
    partial, final = tmp_path / "x.partial", tmp_path / "x"
    (partial / "inner").mkdir(parents=True)
    (partial / "inner/file").write_text("new")
    final.mkdir()
    (final / "damaged").write_text("old")
    finish_folder(partial, final)
    assert not partial.exists() and [path.name for path in final.rglob("*")] == ["inner", "file"]


@given(st.dictionaries(st.text(), JSON, min_size=2))
def test_the_digest_does_not_depend_on_the_order_of_keys(value):
    assert digest_of(dict(reversed(value.items()))) == digest_of(value)


@given(JSON, JSON)
def test_digests_are_equal_only_for_equal_values(one, other):
    assert (digest_of(one) == digest_of(other)) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )


@given(st.integers(1, 64))
def test_a_digest_has_the_length_that_was_asked_for(length):
    digest = digest_of({"a": 1}, length)
    assert len(digest) == length and set(digest) <= set("0123456789abcdef")


@given(st.binary())
def test_sha256_is_that_of_the_bytes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()


FORM = st.dictionaries(st.text().filter(lambda key: key != "checksum"), JSON)


@given(FORM)
def test_sealed_json_holds_the_form_and_its_checksum(form):
    text = sealed_json(form)
    content = json.loads(text)
    assert is_sealed(text) and len(content.pop("checksum")) == 64 and content == form


@given(FORM, JSON)
def test_a_seal_holds_for_no_other_form(form, value):
    sealed = json.loads(sealed_json({**form, "key": 1}))
    assume(value != 1)
    assert not is_sealed(json.dumps({**sealed, "key": value}, indent=2, ensure_ascii=False) + "\n")


@pytest.mark.parametrize(
    "text", ["[]", "{}", r'{"a": "\ud800"}', '{"checksum": "0"}', json.dumps(json.loads(sealed_json({"a": 1})))]
)
def test_what_has_no_seal_or_another_form_is_not_sealed(text):
    assert not is_sealed(text)
