"""A run is a folder: `RUN/STAGE/HASH/` holds a finished result, `RUN/STAGE/current` names the one in use.

Further links beside `current` name results that stay in use, such as the bundle of each of several budgets.

runs/quickstart/run.json                 version of this layout
runs/quickstart/.lock                    held by the one process that works in this run
runs/quickstart/data/3fa9c1b2d4e5/       a finished result; it never changes
runs/quickstart/data/8c01aa94e7f0.partial/   work in progress, or work that was killed and can go on
runs/quickstart/data/current             a relative link to the result in use
runs/quickstart/export/fast              another, for the budget of this name
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from automoe.errors import ConfigError, RunError, did_you_mean
from automoe.files import PARTIAL, is_full_disk, write_json
from automoe.pipeline.manifest import FORMAT, check_format
from automoe.version import __version__

REMOVED = ".removed"
"""Suffix of a result that `automoe clean` is removing."""
FLOW = (
    *("data", "supernet", "profile", "predictor", "search", "select"),
    *("teacher", "distill", "export", "evaluate", "report"),
    *("scratch", "fidelity"),
)
"""The stages in the order in which `automoe run` makes them, then those that judge a supernet: how lists of results
are sorted."""
CURRENT = "current"
"""Name of the link to a stage's result in use."""
_MARKER = "run.json"
_LOCK = ".lock"
_LOCK_PATIENCE_SECONDS = 1.0
"""How long a lock is asked for: `automoe status` looks at it for an instant."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The process that works in a run folder."""

    pid: int | None
    host: str | None
    making: tuple[str, str] | None = None
    """Stage and hash of the result that it makes, or made last; None before the first."""

    def __str__(self) -> str:
        return "another process" if self.pid is None else f"process {self.pid} on {self.host}"


class RunLock:
    """The lock while it is held. Its file says in JSON lines who holds it, and then every result that is begun."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        with suppress(OSError):
            os.ftruncate(stream.fileno(), 0)
        self._append({"pid": os.getpid(), "host": platform.node()})

    def announce(self, stage: str, hash: str) -> None:
        """Says which result is being made from now on, for `automoe status`."""
        self._append({"making": [stage, hash]})

    def _append(self, record: dict[str, Any]) -> None:
        with suppress(OSError):  # it is for messages only: a full disk must not stop `automoe clean`
            os.write(self._stream.fileno(), json.dumps(record).encode() + b"\n")


class RunFolder:
    """Paths and lock of one run; see the module's text for the layout. `RunFolder(path)` touches no file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    def result(self, stage: str, hash: str) -> Path:
        """Folder of a finished result."""
        return self.path / stage / hash

    def partial(self, stage: str, hash: str) -> Path:
        """Folder in which that result is being made; the name is fixed, so that a killed stage finds it again."""
        return self.path / stage / (hash + PARTIAL)

    def current(self, stage: str) -> str | None:
        """Hash of the result in use, None if the stage has none."""
        link = self.path / stage / CURRENT
        return str(link.readlink()) if link.is_symlink() else None

    def set_current(self, stage: str, hash: str) -> None:
        """Makes `hash` the result in use, atomically: a reader sees the old or the new one.

        The link is made anew even if it stands: its time says when its result was last taken up.

        Raises:
            RunError: there is no such finished result.
        """
        self.set_link(stage, CURRENT, hash)

    def links(self, stage: str) -> dict[str, str]:
        """Hash of each result of the stage that has a name, by name: `current` first, if the stage has one."""
        found = (self.path / stage).iterdir() if (self.path / stage).is_dir() else ()
        links = [path for path in found if path.is_symlink() and not path.name.endswith(PARTIAL)]
        links.sort(key=lambda path: (path.name != CURRENT, path.name))
        named = {path.name: str(path.readlink()) for path in links}
        # A link of somebody's that leads elsewhere is none of ours; `current` is, wherever it leads.
        return {name: hash for name, hash in named.items() if name == CURRENT or _is_plain(hash)}

    def set_link(self, stage: str, name: str, hash: str) -> None:
        """Names a finished result, atomically; what had the name before keeps its folder.

        Raises:
            RunError: there is no such finished result.
        """
        if not self.result(stage, hash).is_dir():
            raise RunError("is no finished result", file=self.result(stage, hash))
        link = self.path / stage / name
        aside = link.with_name(name + PARTIAL)
        aside.unlink(missing_ok=True)
        aside.symlink_to(hash)
        try:
            aside.replace(link)
        except IsADirectoryError:
            raise RunError(
                "is a folder where a link must stand",
                file=link,
                hint="Move it away and run the same command again; all results are kept",
            ) from None

    def remove_link(self, stage: str, name: str) -> None:
        """Takes a name from a result, which stays until `automoe clean`; nothing happens if there is no such name."""
        (self.path / stage / name).unlink(missing_ok=True)

    def folders(self) -> dict[str, list[Path]]:
        """Every result by stage: finished, partial, or being removed (the suffix tells), oldest first."""
        place = {name: index for index, name in enumerate(FLOW)}
        stages = sorted(
            (path for path in self.path.iterdir() if path.is_dir() and not path.is_symlink()),
            key=lambda path: (place.get(path.name, len(FLOW)), path.name),
        )
        return {
            stage.name: sorted(
                (path for path in stage.iterdir() if path.is_dir() and not path.is_symlink()),
                key=lambda path: (path.stat().st_mtime_ns, path.name),
            )
            for stage in stages
        }

    def check(self) -> None:
        """Makes sure that this is a run folder of our format.

        Raises:
            RunError: it is none, or of another format.
        """
        marker = self.path / _MARKER
        try:
            content = json.loads(marker.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(
                "is not a run folder: it has no run.json", file=self.path, hint="Choose another name: run=NAME"
            ) from None
        except ValueError as error:
            raise RunError(
                f"is damaged: {error}", file=marker, hint="Restore it from a copy, or use another name: run=NAME"
            ) from None
        check_format(content, marker)

    @contextmanager
    def locked(self, *, create: bool = False) -> Iterator[RunLock]:
        """Keeps every other process out of this run; a holder that dies, however it dies, frees the lock.

        Args:
            create: make the run folder if it does not exist.

        Raises:
            RunError: another process works in it, or it is no run folder of our format.
        """
        if create:
            self._make()
        else:
            self.check()
        with (self.path / _LOCK).open("a+b") as lock:
            self._acquire(lock)
            held = RunLock(lock)
            if create and self._is_new():
                write_json(self.path / _MARKER, {"format": FORMAT, "automoe": __version__})
            self.check()
            yield held

    def holder(self) -> Holder | None:
        """The process that works in this run now; None if there is none."""
        try:
            with (self.path / _LOCK).open("rb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return _read_holder(lock)
        except FileNotFoundError:
            pass
        return None

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if is_full_disk(error):
                raise
            raise RunError(
                f"cannot be made a folder: {error.strerror}",
                file=self.path,
                hint="Choose another place: runs_dir=FOLDER",
            ) from None
        if not self._is_new():
            self.check()

    def _is_new(self) -> bool:
        return {path.name for path in self.path.iterdir()} <= {_LOCK, _MARKER + PARTIAL}

    def _acquire(self, lock: BinaryIO) -> None:
        deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise RunError(
                        f"{_read_holder(lock)} works in this run",
                        file=self.path,
                        hint="Wait until it ends or stop it, or use another name: run=NAME",
                    ) from None
                time.sleep(0.05)


def open_run(runs_dir: Path, name: str) -> RunFolder:
    """The existing run `name`.

    Raises:
        RunError: there is no such run, or it is of another format.
    """
    run = RunFolder(runs_dir / check_run_name(name))
    if not run.path.is_dir():
        known = [run.name for run in list_runs(runs_dir)]
        raise RunError(
            "there is no such run",
            file=run.path,
            hint=did_you_mean(name, known) or f"Runs: {', '.join(known) or 'none'}",
        )
    run.check()
    return run


def list_runs(runs_dir: Path) -> list[RunFolder]:
    """Every run folder in `runs_dir`, whatever its format, by name; empty if there is no such folder."""
    return [RunFolder(path.parent) for path in sorted(runs_dir.glob(f"*/{_MARKER}"))]


def check_run_name(name: str) -> str:
    """Returns `name` if it can name a run.

    Raises:
        ConfigError: it is empty, or holds other characters than letters, digits, `.`, `_` and `-`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise ConfigError("run", name, allowed="letters, digits, '.', '_' and '-', with no '.' or '-' in front")
    return name


def check_link_name(key: str, name: str) -> str:
    """Returns `name` if it can name a result beside `current`.

    Args:
        key: where the user gave it, for messages.
        name: the name.

    Raises:
        ConfigError: it is one that results and their folders have, or holds other characters than letters, digits,
            `.`, `_` and `-`.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        allowed = "letters, digits, '.', '_' and '-', with a letter or a digit in front"
        raise ConfigError(key, name, "cannot name a result", allowed=allowed)
    if name == CURRENT or name.endswith((PARTIAL, REMOVED)) or re.fullmatch(r"[0-9a-f]{12}", name):
        raise ConfigError(key, name, "is a name that a folder of the run has", hint="Choose another name")
    return name


def _is_plain(name: str) -> bool:
    """Whether it names something in the same folder."""
    return name == Path(name).name and name != ".."


def _read_holder(lock: BinaryIO) -> Holder:
    lock.seek(0)
    try:
        first, *others = map(json.loads, lock.read().splitlines())
        making = tuple(others[-1]["making"]) if others else None
        return Holder(pid=first["pid"], host=first["host"], making=making)
    except (ValueError, KeyError, TypeError):  # it holds the lock but has not yet written who it is
        return Holder(pid=None, host=None)
