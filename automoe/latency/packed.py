"""`table_bytes`: the content of a latency table, which may be compressed."""

from __future__ import annotations

from pathlib import Path

from automoe.files import unpacked


def table_bytes(path: Path) -> bytes:
    """The bytes of a table, ours or a published one; see `unpacked`."""
    return unpacked(path, "Give a table.jsonl that `profile` wrote, or a published latency table (.csv, .csv.gz)")
