"""`automoe status`: what each run has finished, what is being made, what was killed."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automoe.errors import RunError
from automoe.files import PARTIAL, read_json
from automoe.latency import TABLE_FILE
from automoe.pipeline.files import MEASURED, TRAININGS
from automoe.pipeline.manifest import read_manifest
from automoe.pipeline.run_folder import CURRENT, REMOVED, RunFolder, list_runs, open_run
from automoe.search import ARCHIVE, shown_cost
from automoe.terminal import format_size, format_table
from automoe.training.log import read_log

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One result of one stage."""

    run: str
    stage: str
    hash: str
    state: str
    """`finished`, `running`, `partial` (killed: the same command goes on), `damaged` or `removed` (by half)."""
    current: bool
    names: tuple[str, ...]
    """Further links to it: the budgets whose bundle it is."""
    modified: str
    """Last change, ISO 8601, local time."""
    bytes: int
    wall_seconds: float | None
    done: str | None = None
    """What an unfinished result holds already: "update 400", "12 measured", "5 trainings"; or why it was refused."""
    problem: str | None = None


def add_parser(subparsers: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = subparsers.add_parser("status", help="what each run has finished", description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="names of runs; all if none is given")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    parser.add_argument("--json", action="store_true", help="as JSON, with sizes in bytes and times in seconds")


def run(arguments: argparse.Namespace) -> int:
    """Prints the table. A run of another format or a damaged result is a row, not a failure."""
    given = [open_run(arguments.runs_dir, name) for name in arguments.runs]
    entries: list[Entry] = []
    problems: list[dict[str, Any]] = []
    for folder in given or list_runs(arguments.runs_dir):
        try:
            folder.check()
        except RunError as error:
            problems.append({"run": folder.name, "problem": str(error)})
        else:
            entries += entries_of(folder)
    if arguments.json:
        print(json.dumps([asdict(entry) for entry in entries] + problems, indent=2))
        return 0
    if not entries and not problems:
        print(f"no results in {arguments.runs_dir}")
    elif entries:
        header = ("run", "stage", "hash", "state", "in use", "changed", "size", "seconds", "done")
        print(format_table(header, [_row(entry) for entry in entries]))
    for problem in [entry.problem for entry in entries if entry.problem] + [item["problem"] for item in problems]:
        print(problem)
    return 0


def entries_of(run: RunFolder) -> list[Entry]:
    """One entry for each result of `run`, by stage and age."""
    return [_entry(run, stage, folder) for stage, folders in run.folders().items() for folder in folders]


def folder_size(folder: Path) -> int:
    """Bytes of all files below `folder`; files that vanish meanwhile count nothing."""
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.lstat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return size


def _entry(run: RunFolder, stage: str, folder: Path) -> Entry:
    seconds, problem = None, None
    hash = folder.name.removesuffix(PARTIAL).removesuffix(REMOVED)
    if folder.name.endswith(PARTIAL):
        holder = run.holder()
        state = "running" if holder and holder.making == (stage, hash) else "partial"
    elif folder.name.endswith(REMOVED):
        state = "removed"
    else:
        try:
            seconds, state = read_manifest(folder).times.wall_seconds, "finished"
        except RunError as error:
            state, problem = "damaged", str(error)
    links = run.links(stage)
    modified = datetime.fromtimestamp(folder.stat().st_mtime, UTC).astimezone()
    return Entry(
        run=run.name,
        stage=stage,
        hash=hash,
        state=state,
        current=folder.name == links.get(CURRENT),
        names=tuple(name for name, hash in links.items() if name != CURRENT and hash == folder.name),
        modified=modified.isoformat(timespec="seconds"),
        bytes=folder_size(folder),
        wall_seconds=seconds,
        done=_done(folder) if state in ("running", "partial") else None,
        problem=problem,
    )


def _done(folder: Path) -> str | None:
    """How far the work in an unfinished folder has come, from files that grow line by line, or finished trainings."""
    if records := read_log(folder):
        return f"update {records[-1]['update']}"
    for name, what in ((ARCHIVE, "evaluated"), (TABLE_FILE, "measured")):
        path = folder / name
        rows = path.read_bytes().count(b"\n") - 1 if path.exists() else 0  # the first line is a header
        if rows > 0:
            return f"{rows} {what}"
    if (folder / MEASURED).exists():
        return _refusal(folder) or "test set translated"
    if trained := len(list(folder.glob(f"{TRAININGS}/*/model.json"))):
        return f"{trained} training{'s' if trained > 1 else ''}"
    return None


def _refusal(folder: Path) -> str | None:
    """Which limits of its budget a measured bundle breaks; None if none."""
    try:
        broken = [line for line in read_json(folder / MEASURED).get("budget", ()) if not line["kept"]]
    except RunError:  # somebody damaged it
        return None
    told = [f"{shown_cost(line['cost'], line['value'])} of {line['max']:.4g}" for line in broken]
    return f"over budget: {', '.join(told)}" if broken else None


def _row(entry: Entry) -> list[Any]:
    return [
        entry.run,
        entry.stage,
        entry.hash,
        entry.state,
        " ".join(("*",) * entry.current + entry.names),
        datetime.fromisoformat(entry.modified).strftime("%Y-%m-%d %H:%M"),
        format_size(entry.bytes),
        None if entry.wall_seconds is None else f"{entry.wall_seconds:.1f}",
        entry.done,
    ]
