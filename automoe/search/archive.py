"""`Archive`: all evaluated architectures of a space in an append-only file, each once.

The first line is a header (space, what evaluated), then comes one line for each architecture. It holds no times, so
a search that was killed and resumed leaves the same bytes as one that was not.

Shape suffixes: N records, M objectives.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from automoe.errors import AutoMoEError, ConfigError, DependencyError, SpaceError
from automoe.files import write_atomically
from automoe.search.dominance import non_dominated
from automoe.search.evaluator import Floats
from automoe.search.hypervolume import hypervolume_over_time
from automoe.search.problem import QUALITIES, Problem, check_objectives
from automoe.search.record import Record, quality_of
from automoe.space import GenomeCodec

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

    def check_space(self, digest: str, name: str, path: Path) -> None:
        """Checks that an archive with this header is one of a space.

        Args:
            digest: of the space.
            name: of the space.
            path: the archive's file, for the error.

        Raises:
            SpaceError: it belongs to another one.
        """
        if self.space != digest:
            raise SpaceError(
                f"the archive belongs to the space {self.space_name!r} (digest {self.space}), not to "
                f"{name!r} (digest {digest})",
                file=path,
                line=1,
                hint="Give each space an archive of its own",
            )


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

    def front(self, costs: Sequence[str], quality: str = "loss") -> tuple[Record, ...]:
        """The records that no other beats in a quality and the means of these costs, the best quality first."""
        return self.front_of((quality, *costs))

    def front_of(self, objectives: Sequence[str]) -> tuple[Record, ...]:
        """The records that no other beats in all of these objectives, the best of the first one first."""
        first_N, members = self.points(objectives)[:, 0], np.flatnonzero(self.on_front(objectives))
        return tuple(self._records[index] for index in members[np.argsort(first_N[members], kind="stable")])

    def on_front(self, objectives: Sequence[str]) -> NDArray[np.bool_]:
        """Which records no other beats in all of these objectives, bool of shape (N,); errors as `points`."""
        return non_dominated(self.points(objectives))

    @property
    def default_objectives(self) -> tuple[str, ...]:
        """The objectives of a search that names none, as far as they were recorded."""
        return tuple(name for name in Problem.objectives if name in (*QUALITIES, *self.header.costs))

    def points(self, objectives: Sequence[str]) -> Floats:
        """The records as points, in the order of their evaluation.

        Args:
            objectives: names out of `OBJECTIVES`.

        Returns:
            float64 of shape (N, M), lower is better: losses, 100 - BLEU, the means of costs.

        Raises:
            ConfigError: there is no such objective, or it was not recorded.
        """
        check_objectives(objectives, "objectives")
        columns = [[self._value(record, name) for record in self._records] for name in objectives]
        return np.array(columns, dtype=np.float64).reshape(len(columns), len(self._records)).T

    def hypervolume(self, objectives: Sequence[str], reference: Sequence[float] | None = None) -> Floats:
        """The volume that the records dominate, after each evaluation (Zitzler and Thiele 1999).

        Args:
            objectives: as for `points`.
            reference: the far corner of what counts, in the units of `points`. By default the worst of each objective
                among all records: the volumes of two archives can only be compared with a reference that they share.

        Returns:
            float64 of shape (N,); it never falls.

        Raises:
            ConfigError: as `points`.
        """
        point_NM = self.points(objectives)
        if not len(point_NM):
            return np.zeros(0)
        reference_M = point_NM.max(axis=0) if reference is None else np.array(reference, dtype=np.float64)
        return hypervolume_over_time(point_NM, reference_M)

    def copy_to(self, path: str | Path) -> Archive:
        """Writes a copy that can be added to; this archive stays as it is."""
        path = Path(path)
        with self.path.open("rb") as stream:
            write_atomically(path, stream.read(self._size))
        return read_archive(path)

    def to_frame(self, *, genes: GenomeCodec | None = None, objectives: Sequence[str] | None = None) -> pd.DataFrame:
        """A table with a row for each record: index, digest, loss, bleu, each cost with its bounds, origin, on_front.

        Args:
            genes: of the space: adds a column for each gene, such as `encoder.layers[0].heads`.
            objectives: `on_front` is true where no other record is better in these; by default `default_objectives`.

        Raises:
            DependencyError: pandas is not installed.
            SpaceError: `genes` are of another space.
            ConfigError: as `points`.
        """
        try:
            import pandas as pd
        except ImportError:
            raise DependencyError("pandas", extra="search") from None
        columns: dict[str, Any] = {
            name: [getattr(record, name) for record in self._records] for name in ("index", "digest", "loss")
        }
        columns["bleu"] = np.array([record.bleu for record in self._records], dtype=np.float64)
        for cost in self.header.costs:
            for name, part in ((cost, "mean"), (f"{cost}_lower", "lower"), (f"{cost}_upper", "upper")):
                columns[name] = [getattr(record.costs[cost], part) for record in self._records]
        columns |= {name: [getattr(record, name) for record in self._records] for name in ("generation", "how")}
        columns["on_front"] = self.on_front(self.default_objectives if objectives is None else objectives)
        if genes is not None:
            self.header.check_space(genes.space.digest, genes.space.name, self.path)
            genome_NG = np.array([genes.encode(record.arch) for record in self._records], dtype=np.int64)
            columns |= dict(zip(genes.names, genome_NG.reshape(-1, len(genes.names)).T, strict=True))
        return pd.DataFrame(columns)

    def _value(self, record: Record, name: str) -> float:
        """An objective as it is to be made small."""
        if name in record.costs:
            return record.costs[name].mean
        if name not in QUALITIES or (name == "bleu" and record.bleu is None):
            known = ", ".join(("loss", *record.costs))
            raise ConfigError(
                "objectives", name, "was not recorded", allowed=known, file=self.path, line=record.index + 2
            )
        return quality_of(record, name)


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
    archive.header.check_space(wanted.space, wanted.space_name, archive.path)
    form, wanted_form = archive.header.to_dict(), json.loads(_line(wanted.to_dict()))
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
