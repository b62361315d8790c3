"""`automoe archive`: what a search has evaluated: its origins, its front, how the hypervolume grew, and exports."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automoe.commands.options import options_named
from automoe.errors import ConfigError, RunError
from automoe.files import write_atomically
from automoe.pipeline.manifest import MANIFEST, read_manifest
from automoe.pipeline.run_folder import open_run
from automoe.search import ARCHIVE, Archive, Record, read_archive
from automoe.space import GenomeCodec, SearchSpace, find_space, read_space
from automoe.terminal import format_table

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_STAGE, _CURRENT = "search", "current"
_PARTS = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """The hypervolume after a part of the evaluations."""

    evaluated: int
    hypervolume: float
    share: float | None
    """Of the hypervolume of all; None where that is 0."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = subparsers.add_parser(
        "archive",
        help="what a search has evaluated",
        description="Shows what a search, finished or not, has evaluated: by origin, the front, and the hypervolume "
        "over the evaluations (its reference is the worst of each objective).",
    )
    parser.add_argument("archive", metavar="RUN|FILE", help="name of a run, or an archive.jsonl")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    parser.add_argument("--objectives", metavar="NAMES", help="as loss,latency_ms (default: those of the search)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write all records and their genes as a table")
    parser.add_argument(
        "--optuna", metavar="URL", help="copy all records into an Optuna storage, as sqlite:///study.db"
    )
    parser.add_argument("--study", metavar="NAME", help="name of the study there (default: the run, else the space)")
    parser.add_argument("--space", metavar="FILE", help="the space, where the archive stands in no run that says it")


def run(arguments: argparse.Namespace) -> int:
    """Writes what was asked for, then prints the summary.

    Raises:
        RunError: there is no such run, or it has no archive.
        ConfigError: objectives that do not exist or were not recorded, or an option without the one that it needs.
        AutoMoEError: the archive is damaged.
        SpaceError: it belongs to another space.
        DependencyError: pandas or Optuna is not installed.
    """
    if arguments.study is not None and arguments.optuna is None:
        raise ConfigError("--study", arguments.study, "names a study of no storage", hint="Add --optuna URL")
    path, named_file = _file_of(arguments.archive, arguments.runs_dir)
    archive = read_archive(path)
    objectives = _objectives(arguments.objectives, archive)
    with options_named({"objectives": "--objectives"}):
        milestones = milestones_of(archive, objectives)
        front = archive.front_of(objectives)
    if arguments.csv is not None:
        space = _space_of(archive, arguments.space)
        genes = None if space is None else GenomeCodec(space)
        arguments.csv.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(arguments.csv, archive.to_frame(genes=genes, objectives=objectives).to_csv(index=False))
        genes_said = "" if genes is not None else "; it has no genes, since nothing says the space: add --space FILE"
        print(f"wrote {arguments.csv}: {len(archive)} rows{genes_said}", file=sys.stderr)
    if arguments.optuna is not None:
        study = arguments.study or (archive.header.space_name if named_file else arguments.archive)
        _mirror(archive, objectives, arguments.optuna, study, arguments.space)
    if arguments.json:
        print(json.dumps(_form(archive, objectives, front, milestones), indent=2))
    else:
        print("\n".join(_lines(archive, objectives, front, milestones)))
    return 0


def milestones_of(archive: Archive, objectives: Sequence[str]) -> list[Milestone]:
    """The hypervolume after a quarter, a half, three quarters and all of the evaluations."""
    volume_N = archive.hypervolume(objectives)
    milestones = []
    for evaluated in sorted({max(1, round(part * len(archive))) for part in _PARTS} if len(archive) else ()):
        volume, last = float(volume_N[evaluated - 1]), float(volume_N[-1])
        milestones.append(Milestone(evaluated=evaluated, hypervolume=volume, share=volume / last if last else None))
    return milestones


def _file_of(given: str, runs_dir: Path) -> tuple[Path, bool]:
    """The archive's file, and whether it was named itself. Of a run that of `search/current`, else the newest one."""
    path = Path(given)
    if (path / ARCHIVE).is_file():
        return path / ARCHIVE, True
    if path.is_dir() and len(path.parts) > 1:
        raise _no_archive_in(path)
    if path.is_file() or len(path.parts) > 1 or path.suffix == Path(ARCHIVE).suffix:
        return path, True
    folder = open_run(runs_dir, given)
    current = folder.current(_STAGE)
    if current is not None:
        return folder.result(_STAGE, current) / ARCHIVE, False
    unfinished = [path for path in folder.folders().get(_STAGE, []) if (path / ARCHIVE).exists()]
    if not unfinished:
        raise RunError("has searched nothing yet", file=folder.path, hint=f"Search first: automoe search run={given}")
    return unfinished[-1] / ARCHIVE, False


def _no_archive_in(path: Path) -> RunError:
    """The error of a folder without an archive: that of a run or of its stage was meant to be that of a result."""
    results = (path / _CURRENT, path / _STAGE / _CURRENT)
    found = [folder for folder in results if (folder / ARCHIVE).is_file()]
    hint = f"Did you mean {found[0]}?" if found else "Name a run, or an archive.jsonl"
    return RunError(f"holds no {ARCHIVE}", file=path, hint=hint)


def _objectives(given: str | None, archive: Archive) -> tuple[str, ...]:
    """Those of the option, else those of the search that the manifest beside the archive describes."""
    if given is not None:
        return tuple(name.strip() for name in given.split(",") if name.strip())
    search = (_config(archive.path) or {}).get("search", {})
    return tuple(search.get("objectives", archive.default_objectives))


def _space_of(archive: Archive, given: str | None) -> SearchSpace | None:
    """That of the option, else the one that the manifest beside the archive describes; None if nothing does."""
    config = _config(archive.path)
    if given is not None:
        space = read_space(find_space(given))
    elif config is None:
        return None
    else:
        space = SearchSpace.from_dict({"name": archive.header.space_name, **config["space"]["choices"]})
    archive.header.check_space(space.digest, space.name, archive.path)
    return space


def _config(path: Path) -> dict[str, Any] | None:
    """What made the archive, if it stands in a finished result."""
    folder = path.parent.resolve()
    config: dict[str, Any] | None = read_manifest(folder).identity.config if (folder / MANIFEST).exists() else None
    return config


def _mirror(archive: Archive, objectives: Sequence[str], storage: str, study: str, given_space: str | None) -> None:
    space = _space_of(archive, given_space)
    if space is None:
        problem = "needs the space, which nothing beside the archive says"
        raise ConfigError("--optuna", problem=problem, hint="Add --space FILE")
    from automoe.search.optuna_mirror import mirror

    with options_named({"storage": "--optuna"}):
        added = mirror(archive, storage, space=space, objectives=objectives, study_name=study)
    # Not the URL, which may hold a password.
    print(f"the study {study!r}: {added} records added, {len(archive) - added} were there", file=sys.stderr)


def _form(
    archive: Archive, objectives: Sequence[str], front: Sequence[Record], milestones: Sequence[Milestone]
) -> dict[str, Any]:
    return {
        "file": str(archive.path),
        "space": archive.header.space,
        "space_name": archive.header.space_name,
        "context": dict(archive.header.context),
        "torn": archive.torn,
        "evaluated": len(archive),
        "origins": dict(Counter(record.how for record in archive.records)),
        "objectives": list(objectives),
        "front": [record.to_dict() for record in front],
        "hypervolume": [asdict(milestone) for milestone in milestones],
    }


def _lines(
    archive: Archive, objectives: Sequence[str], front: Sequence[Record], milestones: Sequence[Milestone]
) -> list[str]:
    header, number = archive.header, len(archive)
    lines = [f"{archive.path}: {number:,} architectures of the space {header.space_name} ({header.space})"]
    if archive.torn:
        lines.append(f"line {number + 2} was torn when its search was killed; the same command evaluates it again")
    if not number:
        return lines
    origins = Counter(record.how for record in archive.records)
    lines += [f"evaluated: {', '.join(f'{count} {how}' for how, count in origins.items())}", ""]
    lines += [f"the front of {', '.join(objectives)}: {len(front)}", _front_table(front, header.costs), ""]
    rows = [
        (f"{step.evaluated:,}", f"{step.hypervolume:#.4g}", "" if step.share is None else f"{100 * step.share:.1f} %")
        for step in milestones
    ]
    return [*lines, format_table(("evaluated", "hypervolume", "of the last"), rows)]


def _front_table(front: Sequence[Record], costs: Sequence[str]) -> str:
    with_bleu = any(record.bleu is not None for record in front)
    rows = [
        (
            record.digest,
            f"{record.loss:.3f}",
            *([None if record.bleu is None else f"{record.bleu:.2f}"] if with_bleu else []),
            *(f"{record.costs[name].mean:#.4g}" for name in costs),
            record.how,
        )
        for record in front
    ]
    return format_table(("architecture", "loss", *(["BLEU"] if with_bleu else []), *costs, "how"), rows)
