"""`read_any_table`: a latency table of ours or a published one, told apart by what is in the file."""

from __future__ import annotations

from pathlib import Path

from automoe.latency.hat_table import PublishedTable, parse_hat_table
from automoe.latency.packed import table_bytes
from automoe.latency.table import MeasuredTable, measured_table


def read_any_table(path: Path) -> MeasuredTable | PublishedTable:
    """Reads a measured table: our own, which begins with a JSON header, or a published one (CSV); plain or `.gz`.

    Either has `described` (architectures, or what is told of them, in the order of their measurement),
    `latency_ms_N`, `label` and a length.

    Raises:
        DataError: the file is missing or damaged, or holds no such table.
    """
    content = table_bytes(path)
    return measured_table(content, path) if content.lstrip().startswith(b"{") else parse_hat_table(content, path)
