"""Opening Optuna's storages so that processes that meet there can be killed, and wording what goes wrong."""

from __future__ import annotations

import fcntl
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from automoe.errors import AutoMoEError, ConfigError, DependencyError
from automoe.search.store.storage_url import ALLOWED, JOURNAL, check_url, masked, missing_driver

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_BUSY_S = 60
_BLOCK_BYTES = 4096


def open_storage(url: str, key: str = "search.storage") -> BaseStorage:
    """Opens an Optuna storage; its tables or its file are made if they are not there.

    Args:
        url: as `check_url` takes it.
        key: where the user gave it, for messages.

    Raises:
        AutoMoEError: Optuna, SQLAlchemy or the database's driver is not installed.
        ConfigError: the URL is none.
    """
    check_url(url, key)
    import optuna

    if optuna.logging.get_verbosity() == optuna.logging.INFO:  # it would tell of every study on stderr
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url.startswith(JOURNAL):
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        path = url.removeprefix(JOURNAL)
        return JournalStorage(JournalFileBackend(path, lock_obj=cast(Any, _FileLock(path))))
    return _open_database(url, key)


def _open_database(url: str, key: str) -> BaseStorage:
    from optuna.storages import RDBStorage, get_storage
    from sqlalchemy import event
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        is_sqlite = make_url(url).get_backend_name() == "sqlite"
        options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_S}} if is_sqlite else {"pool_pre_ping": True}
        storage = RDBStorage(url, engine_kwargs=options)
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError(key, masked(url), f"is no URL of a storage ({error})", allowed=ALLOWED) from None
    except ImportError as error:
        name = getattr(error.__cause__, "name", None)
        if name is None:
            raise
        raise missing_driver(name) from None
    if is_sqlite:
        event.listen(storage.engine, "connect", _leave_transactions_alone)
        event.listen(storage.engine, "begin", _begin_at_once)
        storage.engine.dispose()  # connections from before the listeners
    return get_storage(storage)


def _leave_transactions_alone(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin_at_once(connection: Any) -> None:
    """SQLite knows no SELECT FOR UPDATE: two processes would read WAITING, and both would think it was theirs."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class _FileLock:
    """For a journal: a lock that a killed process frees; Optuna's own are waited for 30 seconds then.

    Who was killed may have left a torn last line, which Optuna would write its next entry behind and then never read
    again; it is cut off by the next who gets the lock.
    """

    def __init__(self, path: str) -> None:
        self._journal, self._path = path, path + ".lock"
        self._descriptor = -1

    def acquire(self) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _cut_torn_line(self._journal)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        os.close(self._descriptor)


def _cut_torn_line(path: str) -> None:
    """Truncates a file to its last line break."""
    with Path(path).open("r+b") as stream:
        size = kept = stream.seek(0, os.SEEK_END)
        while kept:
            start = max(0, kept - _BLOCK_BYTES)
            stream.seek(start)
            found = stream.read(kept - start).rfind(b"\n")
            kept = start + found + 1
            if found >= 0:
                break
        if kept < size:
            stream.truncate(kept)
            os.fsync(stream.fileno())


@contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Words what a storage raises that does not answer, is damaged, or lacks the study that was there.

    Args:
        place: the URL without its password.
    """
    try:
        from optuna.exceptions import OptunaError, StorageInternalError, UpdateFinishedTrialError
    except ImportError:
        raise DependencyError("optuna", extra="search") from None
    try:
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:  # a journal needs none
        SQLAlchemyError = OptunaError  # type: ignore[misc, assignment]
    try:
        yield
    except UpdateFinishedTrialError:
        raise
    except (StorageInternalError, SQLAlchemyError, OSError) as error:
        problem = f"the storage does not answer: {_reason(error)}"
        hint = (
            "Bring it back and start the same commands again: search and workers go on, and nothing that was "
            "finished is evaluated twice"
        )
    except (KeyError, ValueError) as error:
        if not _is_of_the_storage(error):  # a defect of ours
            raise
        if isinstance(error, KeyError):
            problem, hint = "the study was deleted", "Start the search again: what its archive holds is kept"
        else:
            problem = f"the storage is damaged: {_reason(error)}"
            hint = "Remove it and start the search again: it evaluates again what its archive misses"
    else:
        return
    raise AutoMoEError(problem, file=place, hint=hint)


def _is_of_the_storage(error: BaseException) -> bool:
    """Whether the storage raised this, as it does for what it does not find or cannot read."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(str(frame.f_globals.get("__name__")).startswith("optuna.storages.") for frame in frames)


def _reason(error: BaseException) -> str:
    """The first line of what the database said, which holds no password."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return (str(getattr(cause, "orig", None) or cause).strip().splitlines() or [type(cause).__name__])[0]
