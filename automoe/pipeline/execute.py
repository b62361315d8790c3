"""Runs the chain of stages up to a target: skips what is finished, goes on with what was killed."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from automoe.errors import AutoMoEError, RunError
from automoe.files import PARTIAL, finish_folder, is_full, is_full_disk
from automoe.pipeline.manifest import MANIFEST, Manifest, Times, machine, read_manifest, sizes_of, versions
from automoe.pipeline.run_folder import RunFolder, check_run_name
from automoe.pipeline.stage import Inputs, Stage, Step, plan


class RunSettings(Protocol):
    """The keys of a configuration that say where a run lives; none but the seed enters a hash."""

    @property
    def run(self) -> str:
        """Name of the run folder."""
        ...

    @property
    def runs_dir(self) -> str | Path:
        """Folder of the run folders."""
        ...

    @property
    def seed(self) -> int:
        """Seed of every stage."""
        ...


def execute(
    stages: Sequence[Stage[Any]],
    config: RunSettings,
    target: str,
    after: Mapping[str, Callable[[Path], None]] | None = None,
) -> dict[str, Path]:
    """Makes the result of `target` and of all stages that it needs, and makes them current.

    A stage whose result exists is skipped. One line per event goes to stderr.

    Args:
        stages: the stages that there are.
        config: the whole configuration.
        target: name of the stage to end with.
        after: called with the finished folder of the stage of this name, before the next one begins; what it raises
            ends the run.

    Returns:
        The finished folder of each stage of the chain.

    Raises:
        RunError: the run folder is locked, of another format, or holds a damaged result.
        OSError: ENOSPC with the name of the run folder if its disk is full, whatever the stage raised.
        AutoMoEError: what a stage raises, or, before anything runs, the `check` of one that is not finished.
    """
    run = RunFolder(Path(config.runs_dir) / check_run_name(config.run))
    steps = plan(stages, config, target)
    for step in steps:
        if not run.result(step.stage.name, step.identity.hash).exists():
            step.stage.check(step.part)
    folders: dict[str, Path] = {}
    with _FullDisk(run.path), run.locked(create=True) as lock:
        for step in steps:
            name, hash = step.stage.name, step.identity.hash
            folder = run.result(name, hash)
            if folder.exists():
                read_manifest(folder)
                _say(f"{name} {hash} finished earlier")
            else:
                inputs = Inputs(
                    folders={need: folders[need] for need in step.stage.needs}, maybe_seed=step.identity.seed
                )
                lock.announce(name, hash)
                _make(step, inputs, run.partial(name, hash), folder)
            run.set_current(name, hash)
            folders[name] = folder
            if after is not None and name in after:
                after[name](folder)
    return folders


def _make(step: Step, inputs: Inputs, partial: Path, final: Path) -> None:
    name, hash = step.stage.name, step.identity.hash
    started, begin = datetime.now(UTC), time.monotonic()
    resumed = partial.exists()
    partial.mkdir(parents=True, exist_ok=True)
    (partial / MANIFEST).unlink(missing_ok=True)  # of a process that was killed just before the renaming
    _say(f"{name} {hash} {'goes on' if resumed else 'starts'}")
    try:
        step.stage.run(step.part, inputs, partial)
    except AutoMoEError:
        if not any(partial.iterdir()):  # refused at once: there is nothing to go on with
            partial.rmdir()
        raise
    if (found := dict(sorted(step.stage.fingerprint(step.part).items()))) != step.identity.external:
        changed = next(key for key, value in step.identity.external.items() if found.get(key) != value)
        raise RunError(
            "was changed while the stage read it",
            file=partial,
            key=changed,
            hint="Run the same command again: what is there now has a result of its own",
        )
    _remove_leftovers(partial)
    seconds = time.monotonic() - begin
    times = Times(started=started.isoformat(timespec="seconds"), wall_seconds=round(seconds, 3), resumed=resumed)
    manifest = Manifest(
        identity=step.identity, files=sizes_of(partial), versions=versions(), machine=machine(), times=times
    )
    manifest.write(partial)
    finish_folder(partial, final)
    _say(f"{name} {hash} done in {seconds:.0f} s")


def _remove_leftovers(folder: Path) -> None:
    """Removes what was being written when an earlier process was killed and has not been taken over."""
    for path in sorted(folder.rglob("*" + PARTIAL)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class _FullDisk:
    """Turns any failure on a full disk into OSError(ENOSPC) that names the folder.

    `OSError` of `write` names no file, and libraries (torch.save, SentencePiece) raise errors of their own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception) or isinstance(error, AutoMoEError):
            return
        if isinstance(error, OSError) and is_full_disk(error):
            error.filename = error.filename or str(self._folder)
        elif is_full(self._folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder)) from error


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
