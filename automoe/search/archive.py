"""`Archive`: all evaluated architectures of a space in an append-only file, each once.

The first line is a header (space, what evaluated), then comes one line for each architecture. It holds no times, so
a search that was killed and resumed leaves the same bytes as one that was not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automoe.errors import AutoMoEError, DependencyError, SpaceError
from automoe.files import write_atomically
from automoe.search.dominance import non_dominated_sort
from automoe.search.record import Record, objectives

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
ARCHIVE = "archive.jsonl"
"""The usual name of the file."""


@dataclass(frozen=True, kw_only=True)
class ArchiveHeader:
    """What all records of an archive have in common."""

    space: str
    """Digest of the space."""
    space_name: str
    costs: tuple[str, ...]
    """Names of the costs that each record has."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """What evaluated, as JSON: hashes of weights and tables, the coverage of intervals, whatever the caller needs
    to know that two archives can be compared."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: the first line of the file."""
        form = {"space": self.space, "space_name": self.space_name, "costs": list(self.costs)}
        return {"format": FORMAT, **form, "context": dict(self.context)}


class Archive:
    """The evaluated architectures of a file. Make one with `Archive.open`, or with `read_archive` to look only."""

    def __init__(self, path: Path, header: ArchiveHeader, records: Sequence[Record], size: int, torn: bool) -> None:
        self.path = path
        self.header = header
        self.torn = torn
        """Whether the last line was torn when the file was read: the record that was being written is lost."""
        self._records = list(records)
        self._by_digest = {record.digest: record for record in records}
        self._size = size

    @classmethod
    def open(cls, path: str | Path, header: ArchiveHeader) -> Archive:
        """Opens an archive to add to it, or begins one. A torn last line is cut off, and `torn` says so.

        Raises:
            SpaceError: the file belongs to another space.
            AutoMoEError: it is damaged, or something else evaluated; nothing is changed then.
        """
        path = Path(path)
        if not path.exists():
            write_atomically(path, _line(header.to_dict()))
        archive = read_archive(path)
        _check_header(archive, header)
        if archive.torn:
            with path.open("r+b") as stream:
                stream.truncate(archive._size)
                os.fsync(stream.fileno())
        return archive

    @property
    def records(self) -> tuple[Record, ...]:
        """All records, in the order of their evaluation."""
        return tuple(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, digest: object) -> bool:
        """Whether the architecture with this digest was evaluated."""
        return digest in self._by_digest

    def __getitem__(self, digest: str) -> Record:
        """The record of an architecture by its digest."""
        return self._by_digest[digest]

    def add(self, *records: Record) -> None:
        """Appends records; they are on the disk when it returns.

        Raises:
            ValueError: a record is malformed, is there already, has another index than its place, or other costs.
        """
        taken = set(self._by_digest)
        for place, record in enumerate(records, start=len(self._records)):
            _check_record(record, place, taken, self.header)
            taken.add(record.digest)
        content = "".join(_line(record.to_dict()) for record in records).encode()
        with self.path.open("r+b") as stream:
            stream.truncate(self._size)  # what an append that failed half-way left behind
            stream.seek(self._size)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        self._size += len(content)
        self._records += records
        self._by_digest |= {record.digest: record for record in records}

    def front(self, costs: Sequence[str]) -> tuple[Record, ...]:
        """The records that no other beats in loss and the means of these costs, the lowest loss first."""
        front_N = non_dominated_sort(objectives(self._records, costs))
        members = [self._records[index] for index in np.flatnonzero(front_N == 0)]
        return tuple(sorted(members, key=lambda record: (record.loss, record.index)))

    def copy_to(self, path: str | Path) -> Archive:
        """Writes a copy that can be added to; this archive stays as it is."""
        path = Path(path)
        with self.path.open("rb") as stream:
            write_atomically(path, stream.read(self._size))
        return read_archive(path)

    def to_frame(self) -> pd.DataFrame:
        """A table with a row for each record: index, digest, loss, each cost with its bounds, origin.

        Raises:
            DependencyError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise DependencyError("pandas", extra="search") from None
        columns: dict[str, list[Any]] = {
            name: [getattr(record, name) for record in self._records] for name in ("index", "digest", "loss")
        }
        for cost in self.header.costs:
            for name, part in ((cost, "mean"), (f"{cost}_lower", "lower"), (f"{cost}_upper", "upper")):
                columns[name] = [getattr(record.costs[cost], part) for record in self._records]
        columns |= {name: [getattr(record, name) for record in self._records] for name in ("generation", "how")}
        return pd.DataFrame(columns)


def read_archive(path: str | Path) -> Archive:
    """Reads an archive and changes nothing; what stands behind the last line break was torn and is left out.

    Raises:
        AutoMoEError: the file is missing, or damaged elsewhere; with its line.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise AutoMoEError("there is no archive", file=path, hint="Run the stage search first") from None
    size = content.rfind(b"\n") + 1
    lines = content[:size].split(b"\n")[:-1]
    header = _header(path, lines[0] if lines else b"")
    records: list[Record] = []
    taken: set[str] = set()
    for index, line in enumerate(lines[1:]):
        try:
            record = Record.from_dict(json.loads(line))
            _check_record(record, index, taken, header)
        except (ValueError, AutoMoEError) as error:  # ValueError: JSON's and Unicode's too
            raise _damaged(path, index + 2, str(error)) from None
        taken.add(record.digest)
        records.append(record)
    return Archive(path, header, records, size, torn=size < len(content))


def _header(path: Path, line: bytes) -> ArchiveHeader:
    try:
        form = json.loads(line)
        version = form.pop("format")
        header = ArchiveHeader(**form | {"costs": tuple(form["costs"])})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(path, 1, "is not the header of an archive") from None
    if version != FORMAT:
        hint = "Read it with the version of AutoMoE that wrote it"
        raise AutoMoEError(
            "is a format that this version does not know", file=path, line=1, key="format", value=version,
            allowed=str(FORMAT), hint=hint,
        )  # fmt: skip
    return header


def _check_header(archive: Archive, wanted: ArchiveHeader) -> None:
    found = archive.header
    if found.space != wanted.space:
        raise SpaceError(
            f"the archive belongs to the space {found.space_name!r} (digest {found.space}), this search is in "
            f"{wanted.space_name!r} (digest {wanted.space})",
            file=archive.path,
            line=1,
            hint="Give each space an archive of its own",
        )
    form, wanted_form = found.to_dict(), json.loads(_line(wanted.to_dict()))
    for name in ("costs", "context"):
        if form[name] != wanted_form[name]:
            raise AutoMoEError(
                "what was evaluated there cannot be compared with this search",
                file=archive.path,
                line=1,
                key=name,
                value=form[name],
                allowed=str(wanted_form[name]),
                hint="Begin another archive",
            )


def _check_record(record: Record, place: int, taken: set[str], header: ArchiveHeader) -> None:
    record.check()
    if record.index != place:
        raise ValueError(f"has the index {record.index!r} at the place of {place}")
    if record.digest in taken:
        raise ValueError(f"the architecture {record.digest} is there twice")
    if set(record.costs) != set(header.costs):
        raise ValueError(f"has the costs {', '.join(record.costs)}, the header says {', '.join(header.costs)}")


def _damaged(path: Path, line: int, problem: str) -> AutoMoEError:
    hint = "Restore the file, or remove it so that the search begins anew"
    return AutoMoEError(f"the archive is damaged: {problem}", file=path, line=line, hint=hint)


def _line(form: Mapping[str, Any]) -> str:
    return json.dumps(form, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
