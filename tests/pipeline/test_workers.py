"""`automoe search` with workers, and `automoe worker`: the same archive, whoever evaluates."""

import json
import shutil
import signal
import subprocess
import time

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def unsearched(tiny_run, tmp_path):
    """A copy of the run in which nothing was evaluated yet, and the archive that one process makes."""
    runs_dir = tmp_path / "runs"
    shutil.copytree(tiny_run.run_dir, runs_dir / "tiny", symlinks=True)
    for stage in ("search", "select"):  # what either has evaluated is not evaluated again
        shutil.rmtree(runs_dir / "tiny" / stage)
    expected = (tiny_run.run_dir / "search" / "current" / "archive.jsonl").read_bytes()

    def start(command, *overrides):
        arguments = tiny_run.command(command, *overrides, runs_dir=runs_dir)
        return subprocess.Popen(
            arguments, env=tiny_run.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start, runs_dir / "tiny" / "search", expected


def ended(process):
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out


def made(search):
    return (search / "current" / "archive.jsonl").read_bytes(), sorted(
        path.name for path in (search / "current").iterdir()
    )


def test_two_workers_make_the_archive_of_one_process(unsearched):
    start, search, expected = unsearched
    ended(start("search", "search.workers=2"))
    archive, files = made(search)
    assert archive == expected and "store" not in files


@pytest.mark.parametrize("storage", ["folder", "journal"])
def test_workers_from_elsewhere_do_all_the_work_and_leave(unsearched, tmp_path, storage):
    start, search, expected = unsearched
    place = [] if storage == "folder" else [f"search.storage=journal:///{tmp_path / 'jobs.log'}"]
    coordinator = start("search", "search.workers=0", *place)
    workers = [start("worker", "--json", f"worker={number}", *place) for number in range(2)]
    ended(coordinator)
    shares = [json.loads(ended(worker))["evaluated"] for worker in workers]
    assert sum(shares) == len(expected.splitlines()) - 1
    assert made(search)[0] == expected


def test_hydras_submitit_launcher_starts_workers(unsearched):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    start, search, expected = unsearched
    coordinator = start("search", "search.workers=0")
    workers = start("worker", "--multirun", "hydra/launcher=submitit_local", "worker=0,1")
    ended(coordinator)
    ended(workers)
    assert made(search)[0] == expected


def test_a_search_with_workers_that_was_killed_goes_on_with_one_process(unsearched):
    start, search, expected = unsearched
    killed = start("search", "search.workers=2")
    while not list(search.glob("*.partial/store/results/*")):
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    ended(start("search"))
    archive, files = made(search)
    assert archive == expected and "store" not in files


def test_a_worker_without_a_search_says_how_to_start_one(unsearched, monkeypatch, capsys, tiny_run):
    from automoe.cli import main
    from automoe.pipeline import worker

    _, search, _ = unsearched
    monkeypatch.setattr(worker, "_WAIT_S", 0.2)
    assert main(tiny_run.arguments("worker", runs_dir=search.parent.parent)) == 2
    err = capsys.readouterr().err
    assert "automoe search run=tiny search.workers=2" in err
    assert err.index("waiting 0 s for search ") < err.index("automoe: error:")


def test_a_worker_without_a_run_is_told_of_the_runs_that_there_are(unsearched, capsys, tiny_run, monkeypatch):
    from automoe.cli import main
    from automoe.pipeline import worker

    _, search, _ = unsearched
    monkeypatch.setattr(worker, "_WAIT_S", 1e9)
    search.parent.rename(search.parent.with_name("other"))
    assert main(tiny_run.arguments("worker", runs_dir=search.parent.parent)) == 2
    err = capsys.readouterr().err
    assert "there is no such run. Runs: other" in err and "waiting" not in err


def test_a_worker_of_a_finished_search_has_nothing_to_do(tiny_run):
    done = subprocess.run(tiny_run.command("worker", "--json"), env=tiny_run.env, capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["evaluated"] == 0
    assert "finished earlier" in done.stderr
