"""A search whose workers meet in a real PostgreSQL, which goes away and comes back."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from automoe.errors import AutoMoEError
from tests.search.analytic import new_archive, search_on
from tests.search.store.evaluating import Crowd, Logged, Place
from tests.search.store.test_killed import SEED, search

pytestmark = pytest.mark.slow
PASSWORD = "secret-word"


def _program(name):
    places = [os.environ.get("PATH", ""), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
    return shutil.which(name, path=os.pathsep.join(places))


class Server:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"postgresql+psycopg://automoe:{PASSWORD}@127.0.0.1:{self._port}/postgres"

    def _call(self, *command):
        done = subprocess.run(command, user=self._user, cwd=self._folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    def make(self):
        words = self._folder / "words"
        words.write_text(PASSWORD)
        if self._user:
            shutil.chown(self._folder, self._user)
            shutil.chown(words, self._user)
        self._call(
            _program("initdb"), "-D", self._folder / "db", "-U", "automoe", "-A", "md5", f"--pwfile={words}", "-N"
        )

    def start(self):
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1"
        # Without a file for its messages it would keep our pipes open.
        log = self._folder / "messages"
        self._call(_program("pg_ctl"), "-D", self._folder / "db", "-w", "-l", log, "-o", options, "start")

    def stop(self):
        self._call(_program("pg_ctl"), "-D", self._folder / "db", "-w", "-m", "immediate", "stop")


@pytest.fixture
def server():
    for package in ("optuna", "sqlalchemy", "psycopg"):
        pytest.importorskip(package)
    if _program("initdb") is None:
        pytest.skip("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory() as folder:
        made = Server(Path(folder))
        made.make()
        made.start()
        try:
            yield made
        finally:
            made.stop()


def test_a_search_goes_on_where_the_database_went_away(server, tmp_path):
    place, log = Place(where=server.url, lease_s=3.0), Logged(log=tmp_path / "log", seconds=0.1)

    def go_away():
        while not log.log.exists() or len(log.begun()) < 8:
            time.sleep(0.02)
        server.stop()

    breaker = threading.Thread(target=go_away)
    breaker.start()
    with Crowd(place, log, 3):
        with pytest.raises(AutoMoEError, match="the storage does not answer") as caught:
            search(tmp_path / "shared", place, 40)
        breaker.join()
    assert PASSWORD not in str(caught.value) and "automoe:***@127.0.0.1" in str(caught.value)
    server.start()
    with Crowd(place, log, 3):
        archive = search(tmp_path / "shared", place, 40)
    alone = tmp_path / "alone"
    alone.mkdir()
    search_on(new_archive(alone), seed=SEED, evaluations=40)
    assert archive.path.read_bytes() == (alone / "archive.jsonl").read_bytes()
    assert len(log.begun()) - len(archive) <= 3  # what was being evaluated when it went away
