"""Opening Optuna's storages so that processes that meet there can be killed, and wording what goes wrong."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from automoe.errors import AutoMoEError, ConfigError, DependencyError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

JOURNAL = "journal:///"
_BUSY_S = 60
_KEY = "search.storage"
_ALLOWED = "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE, mysql+pymysql://..., sqlite:///FILE, journal:///FILE"


def masked(url: str) -> str:
    """The URL without its password."""
    return re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)


def open_storage(url: str) -> BaseStorage:
    """Opens an Optuna storage; its tables or its file are made if they are not there.

    Raises:
        DependencyError: Optuna, SQLAlchemy or the database's driver is not installed.
        ConfigError: the URL is none.
    """
    try:
        import optuna
    except ImportError:
        raise DependencyError("optuna", extra="search") from None
    if optuna.logging.get_verbosity() == optuna.logging.INFO:  # it would tell of every study on stderr
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url.startswith(JOURNAL):
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        path = url.removeprefix(JOURNAL)
        if not path:
            raise ConfigError(_KEY, url, "names no file", allowed=_ALLOWED)
        return JournalStorage(JournalFileBackend(path, lock_obj=cast(Any, _FileLock(path))))
    return _open_database(url)


def _open_database(url: str) -> BaseStorage:
    try:
        from sqlalchemy import event
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
    except ImportError:
        raise DependencyError("sqlalchemy", extra="search") from None
    from optuna.storages import RDBStorage, get_storage

    shown = masked(url)
    try:
        is_sqlite = make_url(url).get_backend_name() == "sqlite"
        options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_S}} if is_sqlite else {"pool_pre_ping": True}
        storage = RDBStorage(url, engine_kwargs=options)
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError(_KEY, shown, f"is no URL of a storage ({error})", allowed=_ALLOWED) from None
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None) or "the database's driver"
        raise DependencyError(str(missing), extra="search") from None
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
    """For a journal: a lock that a killed process frees; Optuna's own are waited for 30 seconds then."""

    def __init__(self, path: str) -> None:
        self._path = path + ".lock"
        self._descriptor = -1

    def acquire(self) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        os.close(self._descriptor)


@contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Words what a storage raises that does not answer, or is damaged.

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
        reason = _reason(error)
    else:
        return
    hint = (
        "Bring it back and start the same commands again: search and workers go on, and nothing that was finished is "
        "evaluated twice"
    )
    raise AutoMoEError(f"the storage does not answer: {reason}", file=place, hint=hint)


def _reason(error: BaseException) -> str:
    """The first line of what the database said, which holds no password."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return (str(getattr(cause, "orig", None) or cause).strip().splitlines() or [type(cause).__name__])[0]
