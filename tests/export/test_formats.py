"""Formats are found by name, one file or one entry point each, and written whole or not at all."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

from automoe.bundle import SEGMENTER_FILE  # noqa: E402
from automoe.errors import AutoMoEError, BundleError, ConfigError, DependencyError  # noqa: E402
from automoe.export import formats  # noqa: E402
from automoe.export.formats import ENTRY_POINTS, Format, convert, find_format  # noqa: E402
from automoe.nn import Transformer, TransformerConfig  # noqa: E402
from tests.architectures import DENSE  # noqa: E402
from tests.export.sharp_models import export_sharp, sharp_transformer  # noqa: E402


def write_text(transformer, bundle, folder, *, quantization):
    (folder / "text").write_text(quantization)
    return "open('{folder}/text')"


def write_half(transformer, bundle, folder, *, quantization):
    write_text(transformer, bundle, folder, quantization=quantization)
    raise ConfigError("layer", problem="cannot be held")


BAD = Format(name="bad", quantizations=("float32",), write=write_half)
TEXT = Format(name="text", quantizations=("float32", "int8"), write=write_text)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    transformer = sharp_transformer(DENSE)
    return transformer, export_sharp(transformer, tmp_path_factory.mktemp("bundle") / "bundle")


def test_an_unknown_format_is_refused_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"format=ctranslate: .*torch, fairseq.*Did you mean 'ctranslate2'"):
        find_format("ctranslate")


def test_another_package_adds_a_format_by_an_entry_point(monkeypatch):
    theirs = ModuleType("their_module")
    theirs.write, theirs.QUANTIZATIONS = write_text, ("float32",)
    monkeypatch.setitem(sys.modules, "their_module", theirs)
    entry = EntryPoint(name="theirs", value="their_module", group=ENTRY_POINTS)
    monkeypatch.setattr(formats, "entry_points", lambda group: [entry] if group == ENTRY_POINTS else [])
    assert find_format("theirs") == Format(name="theirs", quantizations=("float32",), write=write_text)


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "automoe.export.ctranslate2", raising=False)
    for name in [name for name in sys.modules if name.startswith("ctranslate2.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ctranslate2", None)  # as if it were not installed
    with pytest.raises(DependencyError, match=r"automoe\[ctranslate2\]"):
        find_format("ctranslate2")


def test_the_default_quantization_is_the_first_and_the_answer_names_the_folder(exported, tmp_path):
    assert convert(*exported, tmp_path / "out", TEXT) == f"open('{tmp_path}/out/text')"
    assert (tmp_path / "out" / "text").read_text() == "float32"


def test_an_unknown_quantization_is_refused(exported, tmp_path):
    with pytest.raises(ConfigError, match=r"quantization=int4.*float32, int8"):
        convert(*exported, tmp_path / "out", TEXT, "int4")


def test_a_folder_that_holds_something_is_left_alone(exported, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        convert(*exported, tmp_path, TEXT)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_format_that_fails_leaves_nothing(exported, tmp_path):
    with pytest.raises(ConfigError, match="cannot be held"):
        convert(*exported, tmp_path / "out", BAD)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", [TEXT, BAD], ids=["written", "failed"])
def test_a_folder_beside_the_result_that_is_named_partial_is_left_alone(exported, tmp_path, form):
    theirs = tmp_path / "out.partial"
    theirs.mkdir()
    (theirs / "mine").write_text("years of work")
    with suppress(AutoMoEError):
        convert(*exported, tmp_path / "out", form)
    assert {path.name: path.read_text() for path in theirs.iterdir()} == {"mine": "years of work"}
    ours = {path.name for path in tmp_path.iterdir()} - {"out.partial"}
    assert ours <= ({"out"} if form is TEXT else set())


def test_a_segmenter_of_another_vocabulary_is_refused(exported, tmp_path):
    other = Transformer(DENSE, TransformerConfig(vocab_size=9))
    with pytest.raises(BundleError, match=rf"{SEGMENTER_FILE}.*the model 9 words"):
        convert(other, exported[1], tmp_path / "out", TEXT)
