"""Files that are either whole or absent: written to the side, flushed, then renamed.

What is written aside has a fixed name (`NAME.partial`), so that a killed process leaves at most one
half-written neighbour, which the next writer takes over.
"""

from __future__ import annotations

import csv
import errno
import gzip
import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from automoe.errors import DataError, RunError

_GZIP = b"\x1f\x8b"
"""What a compressed file begins with, whatever its name."""
_NOTHING_FREE_BYTES = 64 * 1024
PARTIAL = ".partial"
"""Suffix of what is being written and has not been renamed yet."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces the file `path` by `content`; a reader sees the old or the new file, never a part of one.

    Raises:
        OSError: as the file system raises it (`cli` words a full disk for the user).
    """
    aside = path.with_name(path.name + PARTIAL)
    with aside.open("wb") as stream:
        stream.write(content.encode() if isinstance(content, str) else content)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(path)
    _sync_folder(path.parent)


def finish_folder(partial: Path, final: Path) -> None:
    """Renames the finished folder `partial` to `final`, once all it holds is on the disk.

    A folder that stands at `final` already (a damaged one, which the caller decided to replace) is removed.
    """
    for file in sorted(partial.rglob("*")):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    _sync_folder(final.parent)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, atomically; keys keep their order."""
    write_atomically(path, _json(value))


def csv_text(rows: Sequence[Mapping[str, Any]], digits: int | None = None) -> str:
    """Rows as CSV with a header; None is an empty cell.

    Args:
        rows: at least one; all have the keys of the first, in any order.
        digits: significant digits of floating-point numbers; None: so many that reading them gives the same numbers.
    """
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    form = "" if digits is None else f".{digits}g"
    for row in rows:
        cells = {key: format(value, form) if isinstance(value, float) else value for key, value in row.items()}
        writer.writerow(cells)
    return out.getvalue()


def read_json(path: Path) -> Any:
    """Reads a JSON file of a finished result.

    Raises:
        RunError: it is damaged, though of the size that its manifest says.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:  # invalid UTF-8 too
        raise RunError(
            f"is damaged: {error}",
            file=path,
            hint=f"Move the folder {path.parent} away and run the same command again: it is then made anew",
        ) from error


def sealed_json(form: Mapping[str, Any]) -> str:
    """`form` as indented JSON with one more key at its end, `checksum`: the SHA-256 of all the rest."""
    return _json({**form, "checksum": digest_of(form, length=64)})


def is_sealed(text: str) -> bool:
    """Whether `text` is, to the last character, what `sealed_json` made.

    Raises:
        ValueError: it is no JSON.
    """
    form = json.loads(text)
    try:
        return isinstance(form, dict) and text == sealed_json({k: v for k, v in form.items() if k != "checksum"})
    except UnicodeEncodeError:  # an escape such as \ud800, of which no text can be made
        return False


def is_full_disk(error: OSError) -> bool:
    """Whether the disk is full, or the user's share of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def free_bytes(path: Path) -> int:
    """Free bytes of the file system that holds `path`, or would hold it if it existed."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(existing).free


def is_full(path: Path) -> bool:
    """Whether the file system of `path` has no room left, whatever error a library made of that."""
    return free_bytes(path) < _NOTHING_FREE_BYTES


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(value: Any, length: int = 12) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of `value` in canonical JSON (sorted keys)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unpacked(path: Path, hint: str) -> bytes:
    """The bytes of a file, decompressed if they are gzip's, whatever its name.

    Args:
        path: the file.
        hint: what should be given instead of a file that cannot be read.

    Raises:
        DataError: it cannot be read, or is torn.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", file=path, hint=hint) from error
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"is a damaged gzip file: {error}", file=path, hint="Copy or compress it again") from error
