"""`automoe clean`: removes the results of a run that nothing in use was made from."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from automoe.commands.status import folder_size
from automoe.errors import ConfigError, RunError
from automoe.files import PARTIAL
from automoe.pipeline.manifest import read_manifest
from automoe.pipeline.run_folder import CURRENT, REMOVED, RunFolder, open_run
from automoe.terminal import format_size, format_table

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = subparsers.add_parser(
        "clean",
        help="remove what nothing uses",
        description="Removes the finished results that no result in use was made from, and unfinished ones that were "
        "given up: their stage has finished another result since. Asks first.",
    )
    parser.add_argument("name", metavar="RUN", help="name of the run")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    parser.add_argument("--dry-run", action="store_true", help="only list what would be removed")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="as JSON, with sizes in bytes; needs --yes or --dry-run")


def run(arguments: argparse.Namespace) -> int:
    """Lists what is unused, asks, removes it.

    Raises:
        RunError: another process works in the run, a result in use is damaged, or there is nobody to ask.
        ConfigError: JSON is wanted, and neither --yes nor --dry-run is given.
    """
    folder = open_run(arguments.runs_dir, arguments.name)
    if arguments.json and not (arguments.yes or arguments.dry_run):
        raise ConfigError("--json", problem="leaves no room for a question", hint="Add --yes or --dry-run")
    with folder.locked():
        sizes = {path: folder_size(path) for path in unused_folders(folder)}
        if not arguments.json:
            _print_table(folder, sizes)
        removed = bool(sizes) and not arguments.dry_run and (arguments.yes or _confirmed())
        if removed:
            for path in sizes:
                _remove(path)
    if arguments.json:
        listed = [{"folder": str(path), "bytes": size} for path, size in sizes.items()]
        print(json.dumps({"unused": listed, "bytes": sum(sizes.values()), "removed": removed}, indent=2))
    return 0


def unused_folders(run: RunFolder) -> list[Path]:
    """The folders that `clean` removes.

    Finished: those that neither `current` nor another link of the stage (a budget's) names, nor anything that these
    name was made from, however far back.
    Unfinished: those whose stage has finished or taken up another result since they were last written; a younger one
    was killed, and the same command goes on with it.

    Raises:
        RunError: a result in use is damaged, so that what it was made from is unknown.
    """
    used = used_results(run)
    unused: list[Path] = []
    for stage, folders in run.folders().items():
        link = run.path / stage / CURRENT
        taken_up = link.lstat().st_mtime_ns if link.is_symlink() else -1
        for path in folders:
            if path.name.endswith(PARTIAL):
                newest = max(item.lstat().st_mtime_ns for item in (path, *path.rglob("*")))
                given_up = newest < taken_up
            else:
                given_up = path.name.endswith(REMOVED) or (stage, path.name) not in used
            if given_up:
                unused.append(path)
    return unused


def used_results(run: RunFolder) -> set[tuple[str, str]]:
    """(stage, hash) of every result in use or with a name, and of all that these were made from."""
    waiting = [(stage, hash, name) for stage in run.folders() for name, hash in run.links(stage).items()]
    used: set[tuple[str, str]] = set()
    while waiting:
        stage, hash, name = waiting.pop()
        if (stage, hash) not in used:
            if hash != Path(hash).name or not run.result(stage, hash).is_dir():
                raise RunError(
                    f"leads to {hash!r}, which is no result",
                    file=run.path / stage / name,
                    hint="Remove this link, or run the stage again: nothing was removed",
                )
            used.add((stage, hash))
            inputs = read_manifest(run.result(stage, hash)).identity.inputs
            waiting += [(*made_from, CURRENT) for made_from in inputs.items()]
    return used


def _print_table(run: RunFolder, sizes: dict[Path, int]) -> None:
    if not sizes:
        print(f"{run.path}: nothing to remove")
        return
    print(format_table(("unused", "size"), [(path, format_size(size)) for path, size in sizes.items()]))
    print(f"{len(sizes)} folders, {format_size(sum(sizes.values()))}")


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise RunError(
            "asks before it removes anything, and nobody is at the terminal", key="clean", hint="Add --yes"
        )
    confirmed = input("Remove them? [y/N] ").strip().lower() in ("y", "yes")
    if not confirmed:
        print("nothing was removed")
    return confirmed


def _remove(path: Path) -> None:
    """Renames the folder first, so that a killed `clean` leaves no result that looks finished and is not."""
    aside = path if path.name.endswith(REMOVED) else path.with_name(path.name + REMOVED)
    if aside != path:
        path.rename(aside)
    shutil.rmtree(aside)
