"""The URL of an Optuna storage: checked without loading Optuna or a driver, and shown without its password."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from automoe.errors import AutoMoEError, ConfigError, DependencyError, did_you_mean

JOURNAL = "journal:///"
ALLOWED = "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE, mysql+pymysql://..., sqlite:///FILE, journal:///FILE"
_PACKAGES = {
    "psycopg": "'automoe[postgres]'",
    "psycopg2": "psycopg2-binary",
    "pg8000": "pg8000",
    "pymysql": "pymysql",
    "MySQLdb": "mysqlclient",
    "mysql": "mysql-connector-python",
}
"""What pip installs for each module of a driver."""
_DRIVERS = {
    "postgresql": {"psycopg": "psycopg", "psycopg2": "psycopg2", "pg8000": "pg8000"},
    "mysql": {"pymysql": "pymysql", "mysqldb": "MySQLdb", "mysqlconnector": "mysql"},
    "mariadb": {"pymysql": "pymysql", "mysqldb": "MySQLdb"},
    "sqlite": {"pysqlite": "sqlite3"},
    "journal": {},
}
"""The module of each driver, by the names of database and driver in a URL."""


def masked(url: str) -> str:
    """The URL without its password, be it before the host or a parameter."""
    without = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)
    return re.sub(r"([?&;](?:password|passwd)=)[^&;]*", r"\1***", without, flags=re.IGNORECASE)


def check_url(url: str, key: str) -> None:
    """Checks all of a storage's URL that can be known before it is opened.

    Args:
        url: as in `ALLOWED`.
        key: where the user gave it, for messages.

    Raises:
        ConfigError: it is no URL of a database that we know, or of a file that no other process could open.
        DependencyError: Optuna, SQLAlchemy or the database's driver is not installed.
    """
    parts = re.fullmatch(r"(\w+)(?:\+(\w+))?://(.*)", url, re.DOTALL)
    if parts is None:
        raise ConfigError(key, masked(url), "is no URL of a storage", allowed=ALLOWED)
    database, driver, rest = parts[1], parts[2], parts[3]
    if database not in _DRIVERS:
        hint = did_you_mean(database, _DRIVERS)
        raise ConfigError(key, masked(url), "is no URL of a storage", allowed=ALLOWED, hint=hint)
    drivers = _DRIVERS[database]
    if driver is None and database not in ("sqlite", "journal"):
        hint = f"Name the driver: {database}+{next(iter(drivers))}://..."
        raise ConfigError(key, masked(url), "names no driver", allowed=ALLOWED, hint=hint)
    if driver is not None and driver not in drivers:
        allowed = ", ".join(f"{database}+{name}" for name in drivers) or f"{database}:///FILE"
        raise ConfigError(key, masked(url), f"{driver!r} is no driver that we know", allowed=allowed)
    if database in ("sqlite", "journal"):
        _check_file(masked(url), rest.partition("?")[0] if database == "sqlite" else rest, key)
    for package in ("optuna",) if database == "journal" else ("optuna", "sqlalchemy"):
        if find_spec(package) is None:
            raise DependencyError(package, extra="search")
    if driver is not None and find_spec(drivers[driver]) is None:
        raise missing_driver(drivers[driver])


def missing_driver(module: str) -> AutoMoEError:
    """The error of a database's driver that is not installed, by the name of its module."""
    hint = f"Install it with: pip install {_PACKAGES.get(module, module)}"
    return AutoMoEError(f"the package {module!r}, the database's driver, is not installed", hint=hint)


def _check_file(url: str, rest: str, key: str) -> None:
    """Checks the file of a URL; `rest` is what follows `://`."""
    if rest and not rest.startswith("/"):
        raise ConfigError(key, url, "lacks a slash before the file", allowed=ALLOWED)
    name = rest.removeprefix("/")
    if name in ("", ":memory:"):
        raise ConfigError(key, url, "names no file, in which processes could meet", allowed=ALLOWED)
    file = Path(name).absolute()
    if file.is_dir():
        raise ConfigError(key, url, "is a folder", allowed=ALLOWED)
    if not file.parent.is_dir():
        raise ConfigError(key, url, f"there is no folder {file.parent}", allowed="a file in a folder that exists")
