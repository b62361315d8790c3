"""`automoe status` and `automoe clean`: what is finished, in use and killed, and what nothing uses any more."""

import json
import os
import types
from dataclasses import replace

import pytest

from automoe.nn.model_folder import SIZES
from automoe.pipeline.execute import execute
from automoe.pipeline.files import TRAININGS
from automoe.pipeline.run import FIDELITY_STAGES, SEARCH_STAGES
from automoe.pipeline.run_folder import RunFolder
from tests.pipeline.toy import STAGES, Toy
from tests.test_cli import automoe


def status_of(capsys, runs_dir, *arguments):
    status, out, _ = automoe(capsys, "status", "--runs-dir", str(runs_dir), "--json", *arguments)
    assert status == 0
    return json.loads(out)


def test_status_tells_what_is_finished_in_use_killed_and_damaged(tmp_path, capsys):
    for power in (2, 3):
        execute(STAGES, Toy(runs_dir=str(tmp_path), power=power), "sums")
    (tmp_path / "toy/report/0123.partial").mkdir(parents=True)
    entries = status_of(capsys, tmp_path)
    shown = [(entry["stage"], entry["state"], entry["current"]) for entry in entries]
    assert sorted(shown) == [
        ("numbers", "finished", True),
        ("report", "partial", False),
        ("sums", "finished", False),
        ("sums", "finished", True),
    ]
    assert all(entry["bytes"] > 0 and entry["wall_seconds"] >= 0 for entry in entries if entry["state"] == "finished")
    (tmp_path / "toy/sums/current/manifest.json").unlink()
    with RunFolder(tmp_path / "toy").locked() as lock:
        lock.announce("report", "0123")
        states = {(entry["stage"], entry["state"]) for entry in status_of(capsys, tmp_path, "toy")}
    assert states == {("numbers", "finished"), ("report", "running"), ("sums", "finished"), ("sums", "damaged")}
    _, out, _ = automoe(capsys, "status", "--runs-dir", str(tmp_path))
    assert "manifest.json: is missing" in out and out.startswith("run  stage")


def test_status_shows_as_running_only_what_the_holder_of_the_lock_is_making(tmp_path, capsys):
    seen = {}

    def look(part, inputs, out):
        seen.update({entry["hash"]: entry["state"] for entry in status_of(capsys, tmp_path)})

    for killed in ("sums/0123.partial", "numbers/4567.partial"):
        (tmp_path / "toy" / killed).mkdir(parents=True)
    (tmp_path / "toy/run.json").write_text('{"format": 1}')
    stages = [replace(stage, run=look) if stage.name == "sums" else stage for stage in STAGES]
    folders = execute(stages, Toy(runs_dir=str(tmp_path)), "sums")
    hashes = {stage: folder.name for stage, folder in folders.items()}
    assert seen == {"0123": "partial", "4567": "partial", hashes["numbers"]: "finished", hashes["sums"]: "running"}
    with RunFolder(tmp_path / "toy").locked():
        assert {entry["state"] for entry in status_of(capsys, tmp_path)} == {"partial", "finished"}


def test_status_counts_the_trainings_that_scratch_has_finished(tmp_path, capsys):
    folder = tmp_path / "toy/scratch/0123.partial"
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/run.json").write_text('{"format": 1}')
    told = []
    for count in range(3):
        training = folder / TRAININGS / f"{count:012x}-1"
        training.mkdir(parents=True)  # it is under way
        [entry] = status_of(capsys, tmp_path)
        told.append(entry["done"])
        (training / SIZES).write_text("{}")
    assert told == [None, "1 training", "2 trainings"]


def test_status_lists_what_judges_a_supernet_after_the_stages_of_a_search(tmp_path, capsys):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/run.json").write_text('{"format": 1}')
    names = [stage.name for stage in (*SEARCH_STAGES, *FIDELITY_STAGES)]
    for name in names:
        (tmp_path / "toy" / name / "0123.partial").mkdir(parents=True, exist_ok=True)
    assert [entry["stage"] for entry in status_of(capsys, tmp_path)] == list(dict.fromkeys(names))


def test_status_of_a_run_of_another_format_is_a_line_and_no_failure(tmp_path, capsys):
    execute(STAGES, Toy(runs_dir=str(tmp_path)), "numbers")
    (tmp_path / "old").mkdir()
    (tmp_path / "old/run.json").write_text('{"format": 0}')
    entries = status_of(capsys, tmp_path)
    assert [entry["run"] for entry in entries] == ["toy", "old"] and "format 0" in entries[1]["problem"]


def test_status_without_runs_says_so(tmp_path, capsys):
    status, out, _ = automoe(capsys, "status", "--runs-dir", str(tmp_path / "none"))
    assert (status, out) == (0, f"no results in {tmp_path / 'none'}\n")


def results(runs_dir):
    return {f"{path.parent.name}/{path.name}" for path in (runs_dir / "toy").glob("*/*") if not path.is_symlink()}


@pytest.fixture
def cluttered(tmp_path):
    """A run whose `report` in use was made from `sums` that are no longer in use; one `sums` nothing uses."""
    folders = {power: execute(STAGES, Toy(runs_dir=str(tmp_path), power=power), "sums") for power in (2, 3)}
    execute(STAGES, Toy(runs_dir=str(tmp_path), power=4), "report")
    execute(STAGES, Toy(runs_dir=str(tmp_path), power=3), "sums")
    return tmp_path, folders[2]["sums"]


def test_clean_removes_what_nothing_in_use_was_made_from(cluttered, capsys):
    runs_dir, unused = cluttered
    before = results(runs_dir)
    status, out, _ = automoe(capsys, "clean", "toy", "--runs-dir", str(runs_dir), "--yes")
    assert status == 0 and before - results(runs_dir) == {f"sums/{unused.name}"} and str(unused) in out
    assert "nothing to remove" in automoe(capsys, "clean", "toy", "--runs-dir", str(runs_dir), "--yes")[1]
    execute(STAGES, Toy(runs_dir=str(runs_dir), power=4), "report")


def test_clean_removes_nothing_when_dry_or_unasked(cluttered, capsys, monkeypatch):
    runs_dir, unused = cluttered
    before = results(runs_dir)
    assert str(unused) in automoe(capsys, "clean", "toy", "--runs-dir", str(runs_dir), "--dry-run")[1]
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(isatty=lambda: False))
    status, _, err = automoe(capsys, "clean", "toy", "--runs-dir", str(runs_dir))
    assert status == 2 and "Add --yes" in err and results(runs_dir) == before


@pytest.mark.parametrize("option", ["--dry-run", "--yes"])
def test_clean_as_json_lists_the_folders_and_whether_they_are_gone(cluttered, capsys, option):
    runs_dir, unused = cluttered
    arguments = ("clean", "toy", "--runs-dir", str(runs_dir), "--json")
    size = sum(path.stat().st_size for path in unused.rglob("*"))
    status, out, _ = automoe(capsys, *arguments, option)
    listed = {"unused": [{"folder": str(unused), "bytes": size}], "bytes": size}
    assert status == 0 and json.loads(out) == {**listed, "removed": option == "--yes"}
    assert unused.exists() == (option == "--dry-run")
    automoe(capsys, *arguments, "--yes")
    assert json.loads(automoe(capsys, *arguments, option)[1]) == {"unused": [], "bytes": 0, "removed": False}


def test_clean_as_json_does_not_ask(cluttered, capsys):
    status, out, err = automoe(capsys, "clean", "toy", "--runs-dir", str(cluttered[0]), "--json")
    assert (status, out) == (2, "") and "Add --yes or --dry-run" in err and cluttered[1].exists()


def test_clean_keeps_killed_work_that_goes_on_and_removes_what_was_given_up(tmp_path, capsys):
    execute(STAGES, Toy(runs_dir=str(tmp_path)), "sums")
    link = tmp_path / "toy/sums/current"
    changed = link.lstat().st_mtime
    for name, age in (("given_up", -10), ("goes_on", +10)):
        folder = tmp_path / f"toy/sums/{name}.partial"
        folder.mkdir()
        (folder / "checkpoint").write_text("x")
        for path in (folder / "checkpoint", folder):
            os.utime(path, (changed + age, changed + age))
    (tmp_path / "toy/sums/half.removed").mkdir()
    before = results(tmp_path)
    automoe(capsys, "clean", "toy", "--runs-dir", str(tmp_path), "--yes")
    assert before - results(tmp_path) == {"sums/given_up.partial", "sums/half.removed"}


def test_clean_refuses_a_run_at_work_and_a_run_whose_history_is_unknown(cluttered, capsys, monkeypatch):
    runs_dir, _ = cluttered
    before = results(runs_dir)
    monkeypatch.setattr("automoe.pipeline.run_folder._LOCK_PATIENCE_SECONDS", 0.0)
    with RunFolder(runs_dir / "toy").locked():
        status, _, err = automoe(capsys, "clean", "toy", "--runs-dir", str(runs_dir), "--yes")
    assert status == 2 and f"process {os.getpid()}" in err
    (runs_dir / "toy/report/current/manifest.json").write_text("{")
    status, _, err = automoe(capsys, "clean", "toy", "--runs-dir", str(runs_dir), "--yes")
    assert status == 2 and "is damaged" in err and results(runs_dir) == before


def test_a_link_of_somebody_else_s_that_leads_out_of_the_run_is_no_result(cluttered, capsys, tmp_path_factory):
    runs_dir, unused = cluttered
    for name, target in (("mine", tmp_path_factory.mktemp("mine")), ("up", "../sums"), ("above", "..")):
        (runs_dir / "toy/sums" / name).symlink_to(target)
    assert all(not entry["names"] for entry in status_of(capsys, runs_dir))
    status, *_ = automoe(capsys, "clean", "toy", "--runs-dir", str(runs_dir), "--yes")
    assert status == 0 and not unused.exists() and (runs_dir / "toy/sums/mine").is_symlink()


def test_clean_of_an_unknown_run_names_those_that_exist(cluttered, capsys):
    status, _, err = automoe(capsys, "clean", "tyo", "--runs-dir", str(cluttered[0]))
    assert status == 2 and "there is no such run. Did you mean 'toy'?" in err
