import subprocess
import sys

import pytest

from automoe.errors import AutoMoEError, ConfigError, DependencyError
from automoe.search.store import OptunaStore, check_url, masked, storage_url

KEY = "search.storage"


@pytest.fixture
def installed(monkeypatch):
    """Makes it seem that these modules are installed, and no others."""

    def only(*names):
        monkeypatch.setattr(storage_url, "find_spec", lambda name: name if name in names else None)

    return only


@pytest.mark.parametrize(
    "url", ["nonsense", "nosuchdatabase://x/y", "redis://host", "journal:///", "journal://x.log", "sqlite://",
            "sqlite:///", "sqlite:///:memory:", "sqlite:///?timeout=3", "sqlite:///.", "journal:///."],
)  # fmt: skip
def test_what_is_no_storage_is_refused_with_what_would_be(url):
    with pytest.raises(ConfigError, match=r"search\.storage.*postgresql\+psycopg"):
        check_url(url, KEY)


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_file_in_a_folder_that_is_not_there_is_refused(kind, tmp_path, installed):
    installed("optuna", "sqlalchemy")
    check_url(f"{kind}:///{tmp_path}/new", KEY)
    with pytest.raises(ConfigError, match=rf"there is no folder {tmp_path}/none \(allowed: a file in a folder that"):
        check_url(f"{kind}:///{tmp_path}/none/new", KEY)


def test_an_opened_storage_was_checked_by_the_key_that_was_given(tmp_path):
    with pytest.raises(ConfigError, match=r"^search\.storage=sqlite:///: names no file"):
        OptunaStore("sqlite:///", "jobs", "weights")


@pytest.mark.parametrize("word", ["postgres://h/d", "posgresql://h/d"])
def test_a_database_that_is_nearly_right_is_suggested(word):
    with pytest.raises(ConfigError, match="Did you mean 'postgresql'"):
        check_url(word, KEY)


def test_an_unknown_driver_is_answered_with_those_that_are_known(installed):
    installed("optuna", "sqlalchemy")
    with pytest.raises(ConfigError, match=r"'asyncpg' is no driver.*allowed: postgresql\+psycopg, "):
        check_url("postgresql+asyncpg://me:word@host/d", KEY)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("postgresql+psycopg://h/d", "'automoe[postgres]'"),
        ("postgresql+psycopg2://h/d", "psycopg2-binary"),
        ("mysql+pymysql://h/d", "pymysql"),
        ("mysql+mysqldb://h/d", "mysqlclient"),
    ],
)
def test_a_driver_that_is_missing_is_named_with_what_pip_installs(url, what, installed):
    installed("optuna", "sqlalchemy")
    with pytest.raises(AutoMoEError) as caught:
        check_url(url, KEY)
    assert str(caught.value).endswith(f"pip install {what}")


@pytest.mark.parametrize("url", ["journal:///a.log", "sqlite:///a.db", "postgresql+psycopg://h/d"])
def test_without_optuna_the_extra_is_named(url, installed):
    installed("sqlalchemy")
    with pytest.raises(DependencyError, match=r"'optuna'.*automoe\[search\]"):
        check_url(url, KEY)


def test_checking_a_url_loads_neither_optuna_nor_a_driver():
    code = (
        "import sys; from automoe.search.store import check_url; check_url('sqlite:///x.db', 'k')\n"
        "assert not {'optuna', 'sqlalchemy', 'sqlite3', 'psycopg'} & set(sys.modules)"
    )
    pytest.importorskip("optuna")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:p@ss:w/rd@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("postgresql://host/db?user=me&password=word&ssl=1", "postgresql://host/db?user=me&password=***&ssl=1"),
        ("mysql+pymysql://host/db?PASSWD=word", "mysql+pymysql://host/db?PASSWD=***"),
        ("sqlite:///a.db", "sqlite:///a.db"),
    ],
)
def test_no_message_holds_a_password(url, shown):
    assert masked(url) == shown


def test_a_refusal_holds_no_password():
    with pytest.raises(ConfigError) as caught:
        check_url("postgresql+nope://me:word@host/db?password=word", KEY)
    assert "word" not in str(caught.value).replace("password=***", "")
