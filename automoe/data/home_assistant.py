"""Corpus `home_assistant`: the interface strings of Home Assistant 2026.2.3 (Apache-2.0), in 60 languages.

They come from its wheel on the Python package index. Of the wheel only the strings of the languages in use
are kept, one file a language, under `AUTOMOE_CACHE` (default `~/.cache/automoe`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from automoe.data.config import DataConfig
from automoe.data.splits import SPLITS
from automoe.errors import DataError, did_you_mean
from automoe.files import digest_of, sha256_of, write_json

RELEASE = "homeassistant==2026.2.3"
WHEEL_SHA256 = "8167820cac4b8defe895fd2c36ac23402a445d1fe6028e8cde24caabb935282c"
CACHE_VARIABLE = "AUTOMOE_CACHE"

_TRANSLATIONS = re.compile(r"homeassistant/components/([^/]+)/translations/([^/]+)\.json")


class HomeAssistantCorpus:
    """The strings that both languages have, paired by component and key.

    Args:
        source: language code of the wheel's files, such as `en`, `de`, `zh-Hans`.
        target: likewise.
        wheel: a local copy of the wheel; None downloads it with pip unless the cache has both languages.
        sha256: SHA-256 of the wheel.
    """

    def __init__(self, *, source: str, target: str, wheel: Path | None = None, sha256: str = WHEEL_SHA256) -> None:
        self._languages = (source, target)
        self._wheel = wheel
        self._sha256 = sha256

    @classmethod
    def from_config(cls, config: DataConfig) -> HomeAssistantCorpus:
        """Takes `source`, `target` and `wheel` of the configuration.

        Raises:
            ConfigError: an option of another corpus is set.
        """
        files = [f"{split}_{side}" for split in SPLITS for side in ("source", "target")]
        config.refuse(files, hint="For your own files use data=text")
        wheel = None if config.wheel is None else Path(config.wheel).expanduser()
        return cls(source=config.source, target=config.target, wheel=wheel)

    def fingerprint(self) -> str:
        """Hash of the wheel's known hash and the languages: the same wherever the wheel comes from."""
        return digest_of({"wheel": self._sha256, "languages": self._languages})

    def splits(self) -> tuple[str, ...]:
        """There are no predefined validation and test sets."""
        return ("train",)

    def pairs(self, split: str) -> Iterator[tuple[str, str]]:
        """The pairs, by component and then in the order of the source's file.

        Raises:
            DataError: the wheel cannot be had, is another one or is damaged; a language is not in it; the
                cache is damaged.
        """
        if split != "train":
            raise KeyError(split)
        files = [self._cache_file(language) for language in self._languages]
        if not all(file.is_file() for file in files):
            self._fill_cache()
        elif self._wheel is not None:
            self._check_wheel(self._wheel)
        source, target = (_read_cache(file) for file in files)
        for key, text in source.items():
            if key in target:
                yield text, target[key]

    def _cache_file(self, language: str) -> Path:
        return self._cache_folder() / f"{language}.json"

    def _cache_folder(self) -> Path:
        root = Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/automoe").expanduser()
        return root / f"{RELEASE.replace('==', '-')}-{self._sha256[:8]}"

    def _fill_cache(self) -> None:
        self._cache_folder().mkdir(parents=True, exist_ok=True)
        if self._wheel is not None:
            self._check_wheel(self._wheel)
            self._keep_languages(self._wheel)
            return
        with tempfile.TemporaryDirectory() as folder:
            self._keep_languages(_download(Path(folder), self._sha256))

    def _check_wheel(self, wheel: Path) -> None:
        if not wheel.is_file():
            raise DataError("there is no such wheel", file=wheel, key="data.wheel", hint=_how_to_fetch(self._sha256))
        found = sha256_of(wheel)
        if found != self._sha256:
            raise DataError(
                f"the wheel has SHA-256 {found}, expected {self._sha256} ({RELEASE})",
                file=wheel,
                key="data.wheel",
                hint=_how_to_fetch(self._sha256),
            )

    def _keep_languages(self, wheel: Path) -> None:
        for language, texts in _read_wheel(wheel, self._languages).items():
            write_json(self._cache_file(language), {"digest": digest_of(texts), "texts": texts})


def _read_wheel(wheel: Path, languages: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """For each language its strings by `component/key`, components in alphabetical order."""
    texts: dict[str, dict[str, str]] = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(archive.namelist()):
                match = _TRANSLATIONS.fullmatch(name)
                if match is None:
                    continue
                component, language = match.groups()
                strings = texts.setdefault(language, {})
                if language in languages:
                    strings.update(_flatten(json.loads(archive.read(name)), component))
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise DataError(f"the wheel is damaged: {error}", file=wheel) from error
    for key, language in zip(("data.source", "data.target"), languages, strict=True):
        if language not in texts:
            raise DataError(
                f"{RELEASE} has no such language",
                key=key,
                value=language,
                allowed=", ".join(sorted(texts)),
                hint=did_you_mean(language, texts),
            )
    return {language: texts[language] for language in languages}


def _flatten(tree: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, Mapping):
        for key, branch in tree.items():
            yield from _flatten(branch, f"{path}/{key}")
    elif isinstance(tree, str):
        yield path, tree


def _read_cache(file: Path) -> dict[str, str]:
    try:
        content = json.loads(file.read_bytes())
        texts: dict[str, str] = content["texts"]
        whole = content["digest"] == digest_of(texts)
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise DataError(
            "the cached strings are damaged or half-written",
            file=file,
            hint=f"Remove the file; it is then fetched again (or taken from data.wheel=FILE, a copy of {RELEASE})",
        )
    return texts


def _download(folder: Path, sha256: str) -> Path:
    """Fetches the wheel with pip into `folder`; pip checks the hash."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{RELEASE} --hash=sha256:{sha256}\n", encoding="utf-8")
    print(f"downloading {RELEASE} (49 MiB) with pip", file=sys.stderr)
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--python-version", "3.14",
        "--require-hashes", "--disable-pip-version-check", "--no-input", "-r", str(requirements), "-d", str(folder),
    ]  # fmt: skip
    try:
        pip = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise DataError(f"pip could not be started: {error}", hint=_how_to_fetch(sha256)) from error
    wheels = sorted(folder.glob("*.whl"))
    if pip.returncode != 0 or not wheels:
        lines = [line.strip() for line in (pip.stderr or pip.stdout).splitlines() if line.strip()]
        said = " / ".join(lines[-2:]) or f"exit status {pip.returncode}"
        raise DataError(f"pip could not download {RELEASE}: {said}", hint=_how_to_fetch(sha256))
    return wheels[0]


def _how_to_fetch(sha256: str) -> str:
    return (
        f"Fetch the wheel of {RELEASE} (SHA-256 {sha256[:12]}...) where there is a network, "
        "with 'pip download --no-deps --only-binary=:all: --python-version 3.14 "
        f"{RELEASE}', and name it with data.wheel=FILE"
    )
