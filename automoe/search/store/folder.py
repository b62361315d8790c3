"""`FolderStore`: coordinator and workers meet in a folder that they share; nothing else is needed.

STORE/header.json             what is evaluated, and the lease
STORE/coordinator             locked by the coordinator, its time is the last sign of life
STORE/workers/NAME            its time is the worker's last sign of life
STORE/jobs/000012-DIGEST.json an architecture that is to be evaluated
STORE/leases/DIGEST.0         the first claim; its time is the last renewal. DIGEST.1 is who took it over, and so on
STORE/results/DIGEST.json     its quality; DIGEST.failed: why there is none
STORE/closed                  the search is over

Lease files are made exclusively (O_EXCL) and never deleted, so exactly one process gets each number; results are
linked from the side, so the first one stays. Times are compared with that of a file just touched there: the file
system's clock decides, not those of the machines.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from automoe.errors import AutoMoEError
from automoe.files import PARTIAL, write_atomically, write_json
from automoe.search.evaluator import Quality
from automoe.search.store.store import (
    COORDINATOR,
    FORMAT,
    Claim,
    NoStoreError,
    Outcome,
    check_context,
    lease_of,
    quality_form,
    read_job,
    read_quality,
    refused_coordinator,
)
from automoe.space import Architecture

_HEADER, _CLOSED = "header.json", "closed"
_JOBS, _LEASES, _RESULTS, _WORKERS, _ASIDE = "jobs", "leases", "results", "workers", "aside"
_JOB = re.compile(r"(\d{6,})-([0-9a-f]+)\.json")
_RESULT = re.compile(r"([0-9a-f]+)\.(json|failed)")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_LOCK_PATIENCE_S = 1.0


class FolderStore:
    """A `Store` in a folder, on one machine or on a file system that several share.

    Args:
        path: the folder; the coordinator makes it.
        context: what is evaluated, as a hash: coordinator and workers must agree in it.
        lease_s: see `Store.lease_s`; a worker takes the coordinator's.
    """

    def __init__(self, path: str | Path, context: str, lease_s: float = 60.0) -> None:
        self.path = Path(path)
        self._context = context
        self._lease_s = lease_s
        self._lock: BinaryIO | None = None
        self._posted: set[str] = set()
        self._num_posted = 0
        self._told: set[str] = set()

    @property
    def lease_s(self) -> float:
        """See `Store.lease_s`."""
        return self._lease_s

    def coordinate(self) -> None:
        """See `Store.coordinate`."""
        for name in (_JOBS, _LEASES, _RESULTS, _WORKERS, _ASIDE):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path / COORDINATOR)
        header = self.path / _HEADER
        if header.exists():
            check_context(_read(header), self._context, str(header))
        write_json(header, {"format": FORMAT, "context": self._context, "lease_s": self._lease_s})
        for failed in (self.path / _RESULTS).glob("*.failed"):
            failed.unlink(missing_ok=True)
        (self.path / _CLOSED).unlink(missing_ok=True)
        jobs = list(self._jobs())
        self._num_posted = 1 + max((int(job.name.partition("-")[0]) for job, _ in jobs), default=-1)
        self._posted = {digest for _, digest in jobs}
        self._told = set()

    def leave(self) -> None:
        """See `Store.leave`."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def close(self) -> None:
        """See `Store.close`."""
        write_atomically(self.path / _CLOSED, "")

    def remove(self) -> None:
        """Removes the folder with everything in it; workers that still look at it leave."""
        aside = self.path.with_name(self.path.name + PARTIAL)  # where a stage ends, such leftovers are removed
        shutil.rmtree(aside, ignore_errors=True)
        self.path.replace(aside)
        shutil.rmtree(aside, ignore_errors=True)  # what a worker was writing right now may be left

    def join(self, worker: str) -> None:
        """See `Store.join`."""
        if not _NAME.fullmatch(worker) or worker == COORDINATOR:
            raise ValueError(f"{worker!r} is no name of a worker")
        header = self.path / _HEADER
        try:
            form = _read(header)
        except FileNotFoundError:
            hint = "Start the search first; workers join while it runs"
            raise NoStoreError("there is no store", file=self.path, hint=hint) from None
        check_context(form, self._context, str(header))
        self._lease_s = lease_of(form, str(header))
        self.beat(worker)

    def is_closed(self) -> bool:
        """See `Store.is_closed`; a store that was removed is closed too."""
        return (self.path / _CLOSED).exists() or not (self.path / _HEADER).exists()

    def beat(self, who: str) -> None:
        """See `Store.beat`."""
        with suppress(FileNotFoundError):  # removed: the main thread sees that it is closed
            self._touched(who)

    def workers(self) -> frozenset[str]:
        """See `Store.workers`."""
        now = self._touched(COORDINATOR)
        signs = {path.name: _time_of(path) for path in (self.path / _WORKERS).iterdir()}
        return frozenset(name for name, sign in signs.items() if sign is not None and now - sign <= self._lease_s)

    def silence(self) -> float:
        """See `Store.silence`."""
        seen = _time_of(self.path / COORDINATOR)
        aside = self.path / _ASIDE / f"clock.{platform.node()}.{os.getpid()}"
        try:
            aside.touch()
            return 0.0 if seen is None else aside.stat().st_mtime - seen
        except FileNotFoundError:  # the whole store is gone
            return math.inf

    def post(self, arch: Architecture) -> None:
        """See `Store.post`."""
        digest = arch.digest
        if digest in self._posted or self._result(digest).exists():
            return
        aside = self.path / _ASIDE / digest
        # Not flushed: a restarted coordinator posts what is missing.
        aside.write_bytes(json.dumps(arch.to_dict()).encode())
        aside.replace(self.path / _JOBS / f"{self._num_posted:06d}-{digest}.json")
        self._num_posted += 1
        self._posted.add(digest)

    def posted(self) -> list[Architecture]:
        """See `Store.posted`."""
        jobs = [(job, digest) for job, digest in self._jobs() if not self._result(digest).exists()]
        return [_read_arch(job, digest) for job, digest in jobs]

    def claim(self, worker: str) -> Claim | None:
        """See `Store.claim`."""
        try:
            for job, digest in self._jobs():
                if self._result(digest).exists():
                    job.unlink(missing_ok=True)  # who finished it was killed before it could
                    continue
                if self._failure(digest).exists():
                    continue
                lease = self._new_lease(digest, worker)
                if lease is not None and not self._result(digest).exists():  # finished while we took the lease
                    return Claim(_read_arch(job, digest), worker, lease.name)
        except FileNotFoundError:  # a job that was finished since it was listed, or the whole store
            return None
        return None

    def renew(self, claim: Claim) -> None:
        """See `Store.renew`."""
        with suppress(FileNotFoundError):
            os.utime(self.path / _LEASES / claim.ticket)

    def release(self, claim: Claim) -> None:
        """See `Store.release`."""
        with suppress(FileNotFoundError):
            os.utime(self.path / _LEASES / claim.ticket, (0, 0))

    def finish(self, claim: Claim, quality: Quality) -> bool:
        """See `Store.finish`."""
        form = {"architecture": claim.arch.to_dict(), "worker": claim.worker, "quality": quality_form(quality)}
        first = self._deliver(claim, self._result(claim.arch.digest), form)
        with suppress(FileNotFoundError):
            for job in (self.path / _JOBS).glob(f"*-{claim.arch.digest}.json"):
                job.unlink()
        return first

    def fail(self, claim: Claim, message: str, trace: str = "") -> None:
        """See `Store.fail`."""
        form = {"architecture": claim.arch.to_dict(), "worker": claim.worker, "message": message, "trace": trace}
        self._deliver(claim, self._failure(claim.arch.digest), form)
        self.release(claim)

    def outcomes(self) -> list[Outcome]:
        """See `Store.outcomes`."""
        try:
            names = sorted({path.name for path in (self.path / _RESULTS).iterdir()} - self._told)
        except FileNotFoundError:
            hint = "Run the same command again: what the archive holds is kept"
            raise AutoMoEError("the store was removed", file=self.path, hint=hint) from None
        found = [_read_outcome(self.path / _RESULTS / name) for name in names if not name.startswith(".")]
        self._told.update(names)
        return found

    def _jobs(self) -> Iterator[tuple[Path, str]]:
        """The files of what is to be evaluated, in the order of posting, and the digests."""
        folder = self.path / _JOBS
        for name in sorted(path.name for path in folder.iterdir()):
            if name.startswith("."):  # NFS keeps what was deleted while open
                continue
            match = _JOB.fullmatch(name)
            if match is None:
                raise _foreign(folder / name, "is no job of a search")
            yield folder / name, match[2]

    def _new_lease(self, digest: str, worker: str) -> Path | None:
        """The lease, if this process got it: nobody has one, or the last one has expired."""
        folder, attempt, held = self.path / _LEASES, 0, 0.0
        while (sign := _time_of(folder / f"{digest}.{attempt}")) is not None:
            held, attempt = sign, attempt + 1
        if attempt and self._touched(worker) - held <= self._lease_s:
            return None
        lease = folder / f"{digest}.{attempt}"
        try:
            descriptor = os.open(lease, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return None
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(f"{worker}\n".encode())
        return lease

    def _deliver(self, claim: Claim, path: Path, form: Any) -> bool:
        aside = self.path / _ASIDE / f"{claim.ticket}.{claim.worker}"
        try:
            with aside.open("wb") as stream:
                stream.write(json.dumps(form).encode())
                stream.flush()
                os.fsync(stream.fileno())
            os.link(aside, path)
            first = True
        except FileExistsError:
            first = False
        except FileNotFoundError:  # the whole store is gone
            return False
        except OSError as error:
            if isinstance(error, PermissionError) or error.errno == errno.EOPNOTSUPP:  # no hard links
                hint = "Let the workers meet in a database: search.storage=URL"
                raise AutoMoEError(f"cannot be linked: {error.strerror}", file=aside, hint=hint) from None
            raise
        aside.unlink(missing_ok=True)
        return first

    def _touched(self, who: str) -> float:
        """Gives a sign of life, and the file system's time."""
        path = self.path / COORDINATOR if who == COORDINATOR else self.path / _WORKERS / who
        path.touch()
        return path.stat().st_mtime

    def _result(self, digest: str) -> Path:
        return self.path / _RESULTS / f"{digest}.json"

    def _failure(self, digest: str) -> Path:
        return self.path / _RESULTS / f"{digest}.failed"


def _read_arch(job: Path, digest: str) -> Architecture:
    try:
        return read_job(_read(job), digest)
    except ValueError as error:
        raise _foreign(job, str(error)) from None


def _read_outcome(path: Path) -> Outcome:
    match = _RESULT.fullmatch(path.name)
    if match is None:
        raise _foreign(path, "is no result of a search")
    form = _read(path)
    try:
        arch, worker = read_job(form["architecture"], match[1]), str(form["worker"])
        if match[2] == "failed":
            return Outcome(arch, worker, None, str(form["message"]), str(form["trace"]))
        return Outcome(arch, worker, read_quality(form["quality"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _foreign(path, f"is no result of a search ({error})") from None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise _foreign(path, f"is damaged: {error}") from None


def _foreign(path: Path, problem: str) -> AutoMoEError:
    return AutoMoEError(problem, file=path, hint="Remove the file; the search evaluates again what it misses")


def _time_of(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _locked(path: Path) -> BinaryIO:
    """The file, locked by this process; a process that dies, however it dies, frees it."""
    stream = path.open("a+b")
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                stream.seek(0)
                holder = stream.read().decode(errors="replace").strip() or "another process"
                stream.close()
                raise refused_coordinator(str(path.parent), holder) from None
            time.sleep(0.05)
        except OSError as error:
            stream.close()
            hint = "Put the runs on another file system: runs_dir=FOLDER"
            raise AutoMoEError(f"cannot be locked: {error.strerror}", file=path, hint=hint) from None
    stream.truncate(0)
    stream.write(f"process {os.getpid()} on {platform.node()}\n".encode())
    stream.flush()
    return stream
