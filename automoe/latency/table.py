"""`MeasuredTable`: latencies of architectures, measured here or on another machine.

The file is JSON lines: a header that says what was measured and how, then one line a measurement.

Shape suffixes: N measurements.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.errors import AutoMoEError, DataError, DependencyError, SpaceError
from automoe.latency.measurement import Measurement
from automoe.latency.packed import table_bytes
from automoe.latency.table_header import TableHeader
from automoe.latency.unit import check_milliseconds
from automoe.space import Architecture

TABLE_FILE = "table.jsonl"


@dataclass(frozen=True, kw_only=True)
class MeasuredTable:
    """A header and the measurements, in the order in which they were made."""

    path: Path
    """The file that it was read from."""
    header: TableHeader
    rows: tuple[Measurement, ...]

    @property
    def architectures(self) -> list[Architecture]:
        """The architecture of each row."""
        return [row.arch for row in self.rows]

    @property
    def described(self) -> list[Architecture]:
        """What predictors learn from: the architectures."""
        return self.architectures

    @property
    def label(self) -> str:
        """What was measured, in a few words, for headings."""
        header = self.header
        return f"{header.space_name} on {header.device} ({header.backend}, {header.precision})"

    @property
    def latency_ms_N(self) -> npt.NDArray[np.float64]:
        """The latency of each row, corrected for drift."""
        return np.array([row.latency_ms for row in self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def check(self, *, space_digest: str, space_name: str, device: str) -> None:
        """Checks that the table belongs to this search.

        Raises:
            SpaceError: it was measured for another space.
            AutoMoEError: it was measured on another device.
        """
        header = self.header
        if header.space_digest != space_digest:
            raise SpaceError(
                f"was measured for the space {header.space_name!r} ({header.space_digest}), "
                f"this run searches {space_name!r} ({space_digest})",
                file=self.path,
                hint="Give the table of this space, or none, so that the space is measured",
            )
        if header.device != device:
            raise AutoMoEError(
                f"was measured on {header.device}, this run asks for {device}",
                file=self.path,
                hint="Set profile.device and profile.threads to those of the table, or give another table",
            )

    def to_frame(self) -> Any:
        """The rows as a pandas DataFrame; see `Measurement.columns`.

        Raises:
            DependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise DependencyError("pandas", extra="search") from error
        return pandas.DataFrame([row.columns() for row in self.rows])


def read_table(path: Path) -> MeasuredTable:
    """Reads a whole measured table, plain or compressed (`.gz`).

    Raises:
        DataError: the file is missing, damaged, holds no measurement or is not in milliseconds; file and line say
            where.
    """
    return measured_table(table_bytes(path), path)


def measured_table(content: bytes, path: Path) -> MeasuredTable:
    """Reads the bytes of a whole measured table; `path` is where they come from. Raises as `read_table`."""
    header, rows = parse_table(content, path)
    if header is None:
        raise DataError("is empty", file=path, hint="Give a table.jsonl that `profile` wrote")
    if not rows:
        raise DataError("holds no measurements", file=path, hint="Run `automoe profile` to measure")
    try:
        check_milliseconds(header, rows)
    except AutoMoEError as error:
        raise DataError(**error.fields() | {"file": path}) from error
    return MeasuredTable(path=path, header=header, rows=tuple(rows))


def parse_table(content: bytes, path: Path) -> tuple[TableHeader | None, list[Measurement]]:
    """Reads the lines of a table; the header is None if there is not a single line.

    Args:
        content: the bytes of the file.
        path: the file, for messages.

    Raises:
        DataError: a line is damaged, a column missing, a value none, or an architecture there twice.
    """
    header: TableHeader | None = None
    rows: list[Measurement] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        form = _parse_line(line, path, number)
        try:
            if header is None:
                header = TableHeader.from_dict(form)
                continue
            row = Measurement.from_dict(form)
            _check_row(row, header, line_of)
        except AutoMoEError as error:
            raise DataError(**error.fields() | {"file": path, "line": number}) from error
        line_of[row.digest] = number
        rows.append(row)
    return header, rows


def _parse_line(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        form = json.loads(line)
    except ValueError as error:  # invalid UTF-8 too
        raise DataError(
            "the line is torn or no JSON", file=path, line=number, hint="Remove the line; `profile` measures it again"
        ) from error
    if not isinstance(form, dict):
        raise DataError("the line is no JSON object", file=path, line=number)
    return form


def _check_row(row: Measurement, header: TableHeader, line_of: dict[str, int]) -> None:
    if row.digest in line_of:
        raise AutoMoEError(
            f"was measured in line {line_of[row.digest]} already",
            key="digest",
            value=row.digest,
            hint="Remove one of the two lines",
        )
    check_correction(row, header)


def check_correction(row: Measurement, header: TableHeader) -> None:
    """Checks that a row was corrected to the baseline of its table.

    Raises:
        AutoMoEError: it was corrected to another one.
    """
    assert header.reference_baseline_ms is not None, "a table with rows has a baseline"
    expected = row.reference_ratio * header.reference_baseline_ms
    if not math.isclose(row.latency_ms, expected, rel_tol=1e-6):
        raise AutoMoEError(
            "is not reference_ratio times the reference_baseline_ms of the header",
            key="latency_ms",
            value=row.latency_ms,
            allowed=f"{expected:.6g}",
            hint="The row comes from another table; measure it again",
        )
