"""Corpus `multi30k`: 29,000 image captions in four languages (Elliott et al. 2016), with validation and test set.

It is read from the folder `multi30k` inside the folder of corpora that the environment variable AUTOMOE_DATA names,
and it is what `text` would make of the same files.
"""

from __future__ import annotations

import os
from pathlib import Path

from automoe.data.config import DataConfig
from automoe.data.splits import SPLITS
from automoe.data.text import TextCorpus
from automoe.errors import ConfigError, DataError, did_you_mean

FOLDER_VARIABLE = "AUTOMOE_DATA"
LANGUAGES = ("cs", "de", "en", "fr")
"""Any of them into any other."""

_STEMS = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
"""Names of the files of each split, without the language."""


def open_multi30k(config: DataConfig) -> TextCorpus:
    """The captions of `source` and `target` of the configuration.

    Raises:
        ConfigError: it lacks a language, or an option of another corpus is set.
        DataError: AUTOMOE_DATA is not set, or what it names lacks the folder or a file.
    """
    names = [f"{split}_{side}" for split in SPLITS for side in ("source", "target")]
    config.refuse(["wheel", *names], hint="For your own files use data=text")
    for key, language in (("data.source", config.source), ("data.target", config.target)):
        if language not in LANGUAGES:
            raise ConfigError(
                key,
                language,
                "Multi30k has no such language",
                allowed=", ".join(LANGUAGES),
                hint=did_you_mean(language, LANGUAGES),
            )
    folder = _folder(config)
    return TextCorpus(
        {
            split: (_file(folder, stem, config.source, config), _file(folder, stem, config.target, config))
            for split, stem in _STEMS.items()
        }
    )


def _folder(config: DataConfig) -> Path:
    root = os.environ.get(FOLDER_VARIABLE)
    if not root:
        raise DataError(
            f"the environment variable {FOLDER_VARIABLE} does not say where Multi30k is",
            hint=f"{_how_to_get(config, 'FOLDER/multi30k')}, and set {FOLDER_VARIABLE}=FOLDER",
        )
    folder = Path(root).expanduser() / "multi30k"
    if not folder.is_dir():
        problem = f"there is no such folder in the one that {FOLDER_VARIABLE} names"
        raise DataError(problem, file=folder, hint=_how_to_get(config, "it"))
    return folder


def _file(folder: Path, stem: str, language: str, config: DataConfig) -> Path:
    """The file of a split and language, compressed or not."""
    packed, plain = folder / f"{stem}.{language}.gz", folder / f"{stem}.{language}"
    found = next((file for file in (packed, plain) if file.is_file()), None)
    if found is None:
        problem = f"there is no such file, nor {plain.name}"
        raise DataError(problem, file=packed, hint=_how_to_get(config, str(folder)))
    return found


def _how_to_get(config: DataConfig, folder: str) -> str:
    files = f"{{{','.join(_STEMS.values())}}}.{{{config.source},{config.target}}}.gz"
    return f"Put {files} of https://github.com/multi30k/dataset (data/task1/raw) into {folder}"
