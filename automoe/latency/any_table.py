"""`read_any_table`: a latency table of ours or a published one, told apart by what is in the file."""

from __future__ import annotations

from pathlib import Path

from automoe.errors import DataError
from automoe.latency.hat_table import GZIP, PublishedTable, parse_hat_table, unpacked
from automoe.latency.table import MeasuredTable, read_table


def read_any_table(path: Path) -> MeasuredTable | PublishedTable:
    """Reads a measured table: our own, which begins with a JSON header, or a published one (CSV, `.csv.gz`).

    Either has `described` (architectures, or what is told of them, in the order of their measurement),
    `latency_ms_N`, `label` and a length.

    Raises:
        DataError: the file is missing, damaged, compressed though it is ours, or holds no such table.
    """
    content = unpacked(path)
    if not content.lstrip().startswith(b"{"):
        return parse_hat_table(content, path)
    if path.read_bytes().startswith(GZIP):
        raise DataError("is compressed", file=path, hint=f"Unpack it first: gunzip {path}")
    return read_table(path)
