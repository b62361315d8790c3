"""`automoe translate`: lines in, lines out."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import automoe.runtime
from automoe.cli import main
from automoe.commands import translate
from automoe.runtime import Translation


class Shouting:
    """Stands for a translator: capital letters are the translation."""

    def translate_nbest(self, sentences, *, beam, batch, length_penalty, on_progress, on_warning):
        self.options = {"beam": beam, "batch": batch, "length_penalty": length_penalty}
        on_progress(len(sentences))
        for index, text in enumerate(sentences):
            if "long" in text:
                on_warning(index, "cut")
        return [[Translation(text=text.upper(), score=-0.25, tokens=(2,))] for text in sentences]


@pytest.fixture(autouse=True)
def shouting(monkeypatch) -> Shouting:
    translator = Shouting()

    def load(path, **use):
        translator.use = use
        return translator

    monkeypatch.setattr(automoe.runtime, "load", load)
    return translator


@pytest.fixture
def stdin(monkeypatch):
    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"one\ntwo\n", b"ONE\nTWO\n"),
        (b"one\n\ntwo", b"ONE\n\nTWO\n"),
        (b"one\r\ntwo\r\n", b"ONE\nTWO\n"),
        (b"\xef\xbb\xbfone\n", b"ONE\n"),
        ("a\u2028b\x0bc\n".encode(), "A\u2028B\x0bC\n".encode()),
        (b"\n\n", b"\n\n"),
        (b"", b""),
    ],
)
def test_every_line_becomes_one_line(stdin, capfdbinary, content, wanted):
    stdin(content)
    assert main(["translate", "bundle"]) == 0
    assert capfdbinary.readouterr().out == wanted


def test_a_file_is_translated_into_a_file(tmp_path, capfdbinary):
    (tmp_path / "in").write_text("one\ntwo\n")
    assert main(["translate", "bundle", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_text() == "ONE\nTWO\n"
    assert capfdbinary.readouterr().out == b"" and len(list(tmp_path.iterdir())) == 2


def test_a_file_may_be_replaced_by_its_own_translation(tmp_path):
    path = tmp_path / "text"
    path.write_text("one\n")
    assert main(["translate", "bundle", str(path), "-o", str(path)]) == 0
    assert path.read_text() == "ONE\n"


def test_scores_stand_before_each_line(stdin, capfdbinary):
    stdin(b"one\n")
    main(["translate", "bundle", "--scores"])
    assert capfdbinary.readouterr().out == b"-0.2500\tONE\n"


def test_options_reach_the_translator(stdin, shouting):
    stdin(b"one\n")
    search = ["--beam", "2", "--batch-size", "3", "--length-penalty", "0.5"]
    model = ["--threads", "4", "--precision", "int8", "--shortlist", "--backend", "torch"]
    main(["translate", "bundle", *search, *model])
    assert shouting.options == {"beam": 2, "batch": 3, "length_penalty": 0.5}
    assert shouting.use == {"threads": 4, "precision": "int8", "shortlist": True, "backend": "torch"}


def test_what_is_not_asked_for_is_left_to_the_runtime(stdin, shouting):
    stdin(b"one\n")
    main(["translate", "bundle"])
    assert shouting.use == {"threads": 1}
    assert shouting.options == {"beam": None, "batch": 32, "length_penalty": None}


def test_a_long_stdin_gives_output_before_its_end(monkeypatch):
    output = io.BytesIO()

    class Endless:
        def isatty(self):
            return False

        def __iter__(self):
            yield b"one\n"
            yield b"two\n"
            assert output.getvalue() == b"ONE\nTWO\n"
            yield b"three\n"

    monkeypatch.setattr(translate, "CHUNK_LINES", 2)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Endless()))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output))
    assert main(["translate", "bundle"]) == 0
    assert output.getvalue() == b"ONE\nTWO\nTHREE\n"


def test_warnings_name_file_and_line_in_later_chunks_too(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(translate, "CHUNK_LINES", 2)
    path = tmp_path / "in"
    path.write_text("a\nb\nc\nlong\n")
    main(["translate", "bundle", str(path)])
    assert capfd.readouterr().err == f"{path}:4: warning: cut\n"


def test_very_many_warnings_are_counted(tmp_path, capfd):
    (tmp_path / "in").write_text("long\n" * 100)
    main(["translate", "bundle", str(tmp_path / "in")])
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 21 and "80 more" in lines[-1]


def test_a_failed_translation_leaves_the_old_output(monkeypatch, tmp_path, shouting):
    (tmp_path / "in").write_text("one\n")
    (tmp_path / "out").write_text("old")
    monkeypatch.setattr(shouting, "translate_nbest", lambda *a, **k: 1 / 0, raising=False)
    with pytest.raises(ZeroDivisionError):
        main(["translate", "bundle", str(tmp_path / "in"), "-o", str(tmp_path / "out")])
    assert (tmp_path / "out").read_text() == "old" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["missing.txt"], "missing.txt: there is no such file"),
        (["."], "cannot be read (Is a directory)"),
        (["in", "-o", "."], "is a folder"),
        (["in", "-o", "missing/out"], "cannot be written (No such file or directory)"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, monkeypatch, capfd, arguments, problem):
    monkeypatch.chdir(tmp_path)
    Path("in").write_text("one\n")
    assert main(["translate", "bundle", *arguments]) == 2
    assert problem in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_pipe_as_output_is_written_to_and_not_replaced(tmp_path):
    (tmp_path / "in").write_text("one\n")
    assert main(["translate", "bundle", str(tmp_path / "in"), "-o", "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()
