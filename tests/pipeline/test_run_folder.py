"""The run folder: one process at a time, links that are whole, formats that are ours."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from automoe.errors import ConfigError, RunError
from automoe.pipeline import run_folder
from automoe.pipeline.run_folder import RunFolder, list_runs, open_run

CHECKOUT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from automoe.pipeline.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked(create=True):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(run_folder, "_LOCK_PATIENCE_SECONDS", 0.0)


def make_run(path):
    run = RunFolder(path)
    with run.locked(create=True):
        pass
    return run


def test_a_lock_excludes_others_names_its_holder_and_dies_with_it(impatient, tmp_path):
    run = RunFolder(tmp_path / "r")
    command = [sys.executable, "-c", HOLD, str(run.path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, cwd=CHECKOUT) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(RunError, match=f"process {process.pid} on {os.uname().nodename} works in this run"):
            run.locked().__enter__()
        assert run.holder().pid == process.pid
        process.kill()
        process.wait()
    assert run.holder() is None
    with run.locked():
        assert run.holder().pid == os.getpid()
    assert run.holder() is None


def test_a_look_at_the_holder_does_not_keep_others_out(tmp_path):
    run = make_run(tmp_path / "r")
    stop = threading.Event()

    def look():
        while not stop.is_set():
            run.holder()

    thread = threading.Thread(target=look)
    thread.start()
    entered = 0
    try:
        for _ in range(20):
            with run.locked():
                entered += 1
    finally:
        stop.set()
        thread.join()
    assert entered == 20


def test_current_is_a_relative_link_that_a_reader_always_finds_whole(tmp_path):
    run = make_run(tmp_path / "r")
    for name in ("aaa", "bbb"):
        run.result("data", name).mkdir(parents=True)
        (run.result("data", name) / "name").write_text(name)
    run.set_current("data", "aaa")
    stop, seen = threading.Event(), set()

    def read():
        while not stop.is_set():
            seen.add((run.path / "data/current/name").read_text())

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(200):
        run.set_current("data", "bbb")
        run.set_current("data", "aaa")
    stop.set()
    thread.join()
    assert seen and seen <= {"aaa", "bbb"}
    assert (run.path / "data/current").readlink() == Path("aaa")
    (tmp_path / "r").rename(tmp_path / "moved")
    assert (tmp_path / "moved/data/current/name").read_text() == "aaa"


def test_current_names_finished_results_only(tmp_path):
    run = make_run(tmp_path / "r")
    with pytest.raises(RunError, match="no finished result"):
        run.set_current("data", "aaa")


def test_a_leftover_of_a_killed_set_current_is_taken_over(tmp_path):
    run = make_run(tmp_path / "r")
    run.result("data", "aaa").mkdir(parents=True)
    (run.path / "data/current.partial").symlink_to("zzz")
    run.set_current("data", "aaa")
    assert run.current("data") == "aaa" and not (run.path / "data/current.partial").is_symlink()


@pytest.mark.parametrize("create", [True, False])
def test_a_run_of_another_format_is_refused_and_unchanged(create, tmp_path):
    run = make_run(tmp_path / "r")
    marker = run.path / "run.json"
    marker.write_text(json.dumps({"format": 2, "automoe": "9.9"}))
    with pytest.raises(RunError, match=r"run-folder format 2; automoe .* reads format 1 only.*run=NAME"):
        run.locked(create=create).__enter__()
    assert json.loads(marker.read_text()) == {"format": 2, "automoe": "9.9"}
    assert [listed.name for listed in list_runs(tmp_path)] == ["r"]


def test_a_torn_marker_is_refused(tmp_path):
    run = make_run(tmp_path / "r")
    (run.path / "run.json").write_text('{"form')
    with pytest.raises(RunError, match=r"run.json: is damaged"):
        run.locked(create=True).__enter__()


def test_a_folder_of_something_else_is_refused_and_unchanged(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_text("miaow")
    with pytest.raises(RunError, match="is not a run folder"):
        RunFolder(tmp_path / "photos").locked(create=True).__enter__()
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match=r"cannot be made a folder.*runs_dir=FOLDER"):
        RunFolder(tmp_path / "runs/r").locked(create=True).__enter__()


def test_an_unknown_run_is_named_with_a_suggestion(tmp_path):
    make_run(tmp_path / "quickstart")
    with pytest.raises(RunError, match=r"no such run.*Did you mean 'quickstart'"):
        open_run(tmp_path, "quikstart")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", ".hidden", "a b", "ü"])
def test_a_run_name_is_one_plain_word(name, tmp_path):
    with pytest.raises(ConfigError):
        open_run(tmp_path, name)


def test_a_result_keeps_its_name_beside_the_one_in_use(tmp_path):
    run = make_run(tmp_path / "r")
    for hash in ("a" * 12, "b" * 12):
        run.result("export", hash).mkdir(parents=True)
        run.set_link("export", "small", hash)
        run.set_current("export", hash)
    run.set_link("export", "fast", "a" * 12)
    (tmp_path / "r/export/torn.partial").symlink_to("a" * 12)  # of a process that was killed
    assert list(run.links("export").items()) == [("current", "b" * 12), ("fast", "a" * 12), ("small", "b" * 12)]
    assert run.links("select") == {} and run.current("export") == "b" * 12
    with pytest.raises(RunError, match="is no finished result"):
        run.set_link("export", "fast", "c" * 12)
    assert run.links("export")["fast"] == "a" * 12
