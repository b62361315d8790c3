"""`unpacked`: the bytes of a table, which may be compressed."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from automoe.errors import DataError

_GZIP = b"\x1f\x8b"


def unpacked(path: Path) -> bytes:
    """The bytes of a file, decompressed if they are gzip's, whatever its name.

    Raises:
        DataError: it cannot be read, or is torn.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})",
            file=path,
            hint="Give a table.jsonl that `profile` wrote, or a published latency table (.csv, .csv.gz)",
        ) from error
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"is a damaged gzip file: {error}", file=path, hint="Copy or compress it again") from error
