"""Corpus `text`: parallel text files of the user, one sentence a line, plain or gzip-compressed (`.gz`)."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

from automoe.data.config import DataConfig
from automoe.data.splits import SPLITS
from automoe.errors import ConfigError, DataError, did_you_mean
from automoe.files import digest_of, sha256_of


class TextCorpus:
    """Two files a split, whose lines correspond.

    Args:
        files: for each split the file of the sources and the file of the targets; "train" must be there.
    """

    def __init__(self, files: dict[str, tuple[Path, Path]]) -> None:
        self._files = files

    @classmethod
    def from_config(cls, config: DataConfig) -> TextCorpus:
        """Takes `train_source`, `train_target`, ... of the configuration.

        Raises:
            ConfigError: the training files are not named, a split has one side only, or an option of
                another corpus is set.
        """
        config.refuse(["wheel"])
        files = {}
        for split in SPLITS:
            names = {f"{split}_{side}": getattr(config, f"{split}_{side}") for side in ("source", "target")}
            missing = [name for name, file in names.items() if file is None]
            if missing and (split == "train" or len(missing) == 1):
                raise ConfigError(
                    f"data.{missing[0]}",
                    None,
                    "is not set",
                    allowed="a text file",
                    hint=f"Give both files: {' '.join(f'data.{name}=FILE' for name in names)}",
                )
            if not missing:
                source, target = (Path(file).expanduser() for file in names.values())
                files[split] = source, target
        return cls(files)

    def fingerprint(self) -> str:
        """Hash of the bytes of all files."""
        hashes = {}
        for split, sides in self._files.items():
            for file, side in zip(sides, ("source", "target"), strict=True):
                _check_file(file, f"data.{split}_{side}")
            hashes[split] = [_hash(file) for file in sides]
        return digest_of(hashes)

    def splits(self) -> tuple[str, ...]:
        """The splits that have files."""
        return tuple(self._files)

    def pairs(self, split: str) -> Iterator[tuple[str, str]]:
        """The line pairs of a split.

        Raises:
            DataError: a file is missing, empty, damaged or not UTF-8, or one is longer than the other.
        """
        source_file, target_file = self._files[split]
        empty = True
        for source, target in zip_longest(_lines(source_file), _lines(target_file)):
            if source is None or target is None:
                _raise_unequal(source_file, target_file)
            empty = False
            yield source, target
        if empty:
            raise DataError("the file is empty", file=source_file)


def _lines(file: Path) -> Iterator[str]:
    _check_file(file)
    number = 0
    try:
        with _open(file) as stream:
            for line in stream:
                number += 1
                yield line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"is not valid UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start + 1} of the line",
            file=file,
            line=number,
            hint="Convert the file to UTF-8, or mend the line",
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"is a damaged gzip file: {error}", file=file, hint="Copy or compress it again") from error
    except OSError as error:
        raise _unreadable(file, error) from error


def _open(file: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _hash(file: Path) -> str:
    try:
        return sha256_of(file)
    except OSError as error:
        raise _unreadable(file, error) from error


def _check_file(file: Path, key: str | None = None) -> None:
    if file.is_dir():
        raise DataError("is a folder", file=file, key=key, allowed="a file of text, one sentence a line")
    if not file.exists():
        near = [path.name for path in file.parent.glob("*") if path.is_file()] if file.parent.is_dir() else []
        raise DataError("there is no such file", file=file, key=key, hint=did_you_mean(file.name, near))
    if not file.is_file():  # it is read more than once
        raise DataError("is a pipe or a device", file=file, key=key, allowed="a file of text, one sentence a line")


def _unreadable(file: Path, error: OSError) -> DataError:
    return DataError(f"cannot be read: {error.strerror}", file=file)


def _raise_unequal(source_file: Path, target_file: Path) -> NoReturn:
    counts = [sum(1 for _ in _lines(file)) for file in (source_file, target_file)]
    raise DataError(
        f"has {counts[0]} lines, but its translation {target_file} has {counts[1]}",
        file=source_file,
        hint="Line n of one file must be the translation of line n of the other",
    )
