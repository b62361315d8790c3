"""`TableWriter`: grows a measured table by a line a measurement; killed at any moment, it goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from automoe.errors import DataError
from automoe.files import write_atomically
from automoe.latency.measurement import Measurement
from automoe.latency.profiler import ExpertLoads, Profiler
from automoe.latency.table import check_correction, parse_table
from automoe.latency.table_header import TableHeader
from automoe.space import Architecture


class TableWriter:
    """Opens a table to add measurements to it; makes it if there is none.

    A last line that was torn when an earlier process was killed is cut off. The file appears with the first
    measurement, which also sets the baseline of its header. One process at a time.

    Args:
        path: the file.
        header: circumstances of the measurements to come, without a baseline.

    Raises:
        DataError: the table is damaged, or was begun under other circumstances.
    """

    def __init__(self, path: Path, header: TableHeader) -> None:
        self._path = path
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        found, rows = parse_table(whole, path)
        if found is not None:
            _check_same(found, header, path)
        if len(whole) < len(content):
            with path.open("r+b") as stream:
                stream.truncate(len(whole))
        self._header = header.with_baseline(None) if found is None else found
        self._begun = found is not None
        self.rows = rows
        """All measurements so far."""

    @property
    def baseline_ms(self) -> float | None:
        """What the reference took in the first measurement, or, after `settle`, in all; None if there is none yet."""
        return self._header.reference_baseline_ms

    @property
    def digests(self) -> set[str]:
        """Digests of the architectures that have been measured."""
        return {row.digest for row in self.rows}

    def append(self, row: Measurement) -> None:
        """Adds a measurement; it is on the disk afterwards."""
        if row.digest in self.digests:
            raise ValueError(f"the architecture {row.digest} has been measured already")
        header = self._header if self._begun else self._header.with_baseline(row.reference_ms)
        check_correction(row, header)
        lines = [row.to_dict()] if self._begun else [header.to_dict(), row.to_dict()]
        with self._path.open("ab") as stream:
            stream.write("".join(_line(form) for form in lines).encode())
            stream.flush()
            os.fsync(stream.fileno())
        self._header, self._begun = header, True
        self.rows.append(row)

    def settle(self) -> None:
        """Sets the baseline to what the reference took on average over the whole table (the median of its rows).

        The first measurement may have met the machine in a bad minute; all latencies would then be too high by the
        same factor. The file is replaced as a whole; ratios to the reference stay, and each row's drift is
        then that from the average. Settling twice changes nothing.
        """
        if not self.rows or self.baseline_ms is None:
            return
        baseline_ms = median(row.reference_ms for row in self.rows)
        if baseline_ms == self.baseline_ms:
            return
        factor = baseline_ms / self.baseline_ms
        times = ("latency_ms", "encoder_ms", "low_ms", "high_ms")
        self.rows = [replace(row, **{name: getattr(row, name) * factor for name in times}) for row in self.rows]
        self._header = self._header.with_baseline(baseline_ms)
        forms = [self._header.to_dict(), *(row.to_dict() for row in self.rows)]
        write_atomically(self._path, "".join(map(_line, forms)))


def measure_missing(
    archs: Iterable[Architecture],
    profiler: Profiler,
    writer: TableWriter,
    *,
    expert_loads: Callable[[Architecture], ExpertLoads | None] = lambda arch: None,
    on_measured: Callable[[Measurement], None] = lambda row: None,
) -> None:
    """Measures the architectures that the table lacks, in order; each is on the disk before the next begins.

    Args:
        archs: the architectures; those that the table has are passed over.
        profiler: made with the `baseline_ms` of the writer.
        writer: the table.
        expert_loads: what is known about the loads of the experts, to be recorded.
        on_measured: called after each measurement.
    """
    for arch in archs:
        if arch.digest not in writer.digests:
            row = profiler.measure(arch, expert_loads(arch))
            writer.append(row)
            on_measured(row)


def _check_same(found: TableHeader, wanted: TableHeader, path: Path) -> None:
    there = found.circumstances()
    for key, value in wanted.circumstances().items():
        if there[key] != value:
            raise DataError(
                "the table was begun under other circumstances",
                file=path,
                line=1,
                key=key,
                value=there[key],
                allowed=str(value),
                hint="Move the unfinished folder away, and it is measured anew",
            )


def _line(form: dict[str, Any]) -> str:
    return json.dumps(form, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
