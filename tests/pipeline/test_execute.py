"""Killed and repeated, full disks, damaged results: what was finished stays, what was not goes on."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from automoe.errors import AutoMoEError, ConfigError, RunError
from automoe.pipeline.execute import execute
from automoe.pipeline.manifest import FORMAT, MANIFEST, read_manifest
from automoe.pipeline.run_folder import RunFolder
from tests.pipeline.toy import MOMENTS, NUMBERS, REPORT, STAGES, SUMS, Numbers, Toy

CHECKOUT = Path(__file__).parents[2]


def run_toy(runs_dir, moment=""):
    command = [sys.executable, "-m", "tests.pipeline.toy", str(runs_dir), moment]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)


def content(folder):
    """Every file and link below `folder`; of a manifest all but the times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = path.readlink()
        elif path.is_file() and path.name == MANIFEST:
            found[name] = {key: value for key, value in json.loads(path.read_text()).items() if key != "times"}
        elif path.is_file() and path.name != ".lock":
            found[name] = path.read_bytes()
    return found


def states(folder):
    """Content and time of every file: equal only if nothing was written again."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    runs_dir = tmp_path_factory.mktemp("undisturbed")
    assert run_toy(runs_dir).returncode == 0
    return content(runs_dir)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_the_same_command_ends_as_if_undisturbed(moment, undisturbed, tmp_path):
    assert run_toy(tmp_path, moment).returncode == -signal.SIGKILL
    assert content(tmp_path) != undisturbed or moment == "after current 3"
    again = run_toy(tmp_path)
    assert again.returncode == 0, again.stderr
    assert content(tmp_path) == undisturbed


def test_killed_again_and_again_it_still_ends_alike(undisturbed, tmp_path):
    for moment in MOMENTS:
        run_toy(tmp_path, moment)
    run_toy(tmp_path)
    assert content(tmp_path) == undisturbed


def test_a_killed_stage_finds_what_it_had_written(tmp_path):
    run_toy(tmp_path, "numbers wrote 2")
    (partial,) = (tmp_path / "toy/numbers").glob("*.partial")
    before = states(partial)
    assert {path.name for path in before} == {"0.txt", "1.txt", "2.txt"}
    run_toy(tmp_path)
    assert {path.name: state for path, state in before.items()}.items() <= {
        path.name: state for path, state in states(tmp_path / "toy/numbers").items()
    }.items()


def test_half_written_files_that_nobody_took_over_are_not_part_of_a_result(undisturbed, tmp_path):
    run_toy(tmp_path, "numbers wrote 2")
    (partial,) = (tmp_path / "toy/numbers").glob("*.partial")
    (partial / "model.bin.partial").write_text("half")
    (partial / "folder.partial").mkdir()
    (partial / "folder.partial/file").write_text("half")
    run_toy(tmp_path)
    assert content(tmp_path) == undisturbed


def test_finished_stages_are_skipped_and_unchanged(tmp_path, capsys):
    config = Toy(runs_dir=str(tmp_path))
    folders = execute(STAGES, config, "report")
    before = states(tmp_path / "toy/numbers") | states(tmp_path / "toy/sums") | states(tmp_path / "toy/report")
    capsys.readouterr()
    assert execute(STAGES, config, "report") == folders
    assert capsys.readouterr().err.count("finished earlier") == 3
    assert {path: state for path, state in states(tmp_path).items() if path in before} == before


def test_what_a_stage_lacks_is_refused_before_anything_runs_unless_its_result_is_finished(tmp_path):
    def refuse(power):
        raise ConfigError("power", power, "needs what this machine has not")

    config, sums = Toy(runs_dir=str(tmp_path)), dataclasses.replace(SUMS, check=refuse)
    with pytest.raises(ConfigError, match="power=2: needs"):
        execute((NUMBERS, sums, REPORT), config, "report")
    assert not list(tmp_path.iterdir())
    execute(STAGES, config, "sums")  # where it is not refused
    assert set(execute((NUMBERS, sums, REPORT), config, "report")) == {"numbers", "sums", "report"}


def test_a_changed_configuration_makes_a_new_folder_beside_the_old_one(tmp_path):
    run = RunFolder(tmp_path / "toy")
    old = execute(STAGES, Toy(runs_dir=str(tmp_path)), "report")
    before = states(old["sums"])
    new = execute(STAGES, Toy(runs_dir=str(tmp_path), power=3), "report")
    assert new["numbers"] == old["numbers"] and new["sums"] != old["sums"]
    assert states(old["sums"]) == before
    assert run.current("sums") == new["sums"].name
    execute(STAGES, Toy(runs_dir=str(tmp_path)), "sums")
    assert run.current("sums") == old["sums"].name and run.current("report") == new["report"].name


def test_the_manifest_says_what_the_result_was_made_from(tmp_path):
    config = Toy(runs_dir=str(tmp_path), seed=7)
    numbers = dataclasses.replace(NUMBERS, fingerprint=lambda part: {"corpus": "abc"})
    folders = execute((numbers, SUMS, REPORT), config, "report")
    manifest = json.loads((folders["numbers"] / MANIFEST).read_text())
    assert manifest["format"] == FORMAT and manifest["stage"] == "numbers" and manifest["seed"] == 7
    assert manifest["config"] == {"count": 4, "factor": 2.0, "names": ["a", "b"], "path": "x/y", "maybe": None}
    assert manifest["external"] == {"corpus": "abc"} and manifest["hash"] == folders["numbers"].name
    assert {"automoe", "python", "numpy"} <= manifest["versions"].keys()
    assert manifest["machine"]["cores"] >= 1 and manifest["times"]["resumed"] is False
    inputs = read_manifest(folders["report"]).identity.inputs
    assert inputs == {"numbers": folders["numbers"].name, "sums": folders["sums"].name}


def test_an_input_that_changes_while_it_is_read_is_not_stored_under_its_old_hash(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.write_text("old")

    def replaced_meanwhile(part, inputs, out):
        NUMBERS.run(part, inputs, out)
        corpus.write_text("new")

    numbers = dataclasses.replace(
        NUMBERS, run=replaced_meanwhile, fingerprint=lambda part: {"corpus": corpus.read_text()}
    )
    config = Toy(runs_dir=str(tmp_path / "runs"))
    with pytest.raises(RunError, match="corpus: was changed while the stage read it"):
        execute((numbers, SUMS, REPORT), config, "numbers")
    assert RunFolder(tmp_path / "runs" / "toy").current("numbers") is None
    folder = execute((numbers, SUMS, REPORT), config, "numbers")["numbers"]  # what is there now has its own result
    assert read_manifest(folder).identity.external == {"corpus": "new"}


def test_a_failing_stage_leaves_no_finished_folder_and_keeps_those_before(tmp_path):
    def fail(part, inputs, out):
        (out / "half").write_text("x")
        raise ValueError("a defect")

    config = Toy(runs_dir=str(tmp_path))
    with pytest.raises(ValueError, match="a defect"):
        execute((NUMBERS, dataclasses.replace(SUMS, run=fail)), config, "sums")
    run = RunFolder(tmp_path / "toy")
    assert run.current("numbers") and run.current("sums") is None
    assert [path.suffix for path in run.folders()["sums"]] == [".partial"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / MANIFEST).unlink(), "is missing"),
        (lambda folder: (folder / MANIFEST).write_text('{"format": 1, "sta'), "is damaged"),
        (lambda folder: (folder / MANIFEST).write_text('{"format": 1}'), "is damaged"),
        (lambda folder: (folder / "2.txt").unlink(), "2.txt: is missing"),
        (lambda folder: (folder / "2.txt").write_text(""), "has 0 bytes"),
        (lambda folder: _edit(folder / MANIFEST, seed=3), "does not belong to its folder"),
        (lambda folder: _edit(folder / MANIFEST, format=99), "run-folder format 99"),
    ],
    ids=["missing", "torn", "empty", "file gone", "file cut", "edited", "other format"],
)
def test_a_damaged_result_is_named_with_the_way_out_and_nothing_is_deleted(damage, message, tmp_path):
    config = Toy(runs_dir=str(tmp_path))
    folder = execute(STAGES, config, "report")["numbers"]
    damage(folder)
    before = states(folder)
    with pytest.raises(RunError, match=message) as error:
        execute(STAGES, config, "report")
    assert error.value.file and error.value.hint
    assert states(folder) == before


def _edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_run_name_cannot_leave_the_folder_of_runs(tmp_path):
    with pytest.raises(AutoMoEError, match=r"run=\.\./x"):
        execute(STAGES, Toy(runs_dir=str(tmp_path), run="../x"), "report")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a full disk cannot be tested: mounting a tmpfs needs root and the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("library", [False, True], ids=["write", "library"])
def test_a_full_disk_is_named_and_finished_stages_stay(library, small_disk):
    def fill(part, inputs, out):
        try:
            (out / "large").write_bytes(bytes(512 * 1024))
        except OSError:
            if library:  # torch.save and SentencePiece word it their own way
                raise RuntimeError("unexpected pos 64 vs 128") from None
            raise

    config = Toy(runs_dir=str(small_disk))
    numbers = execute(STAGES, config, "numbers")["numbers"]
    before = states(numbers)
    with pytest.raises(OSError) as error:
        execute((NUMBERS, dataclasses.replace(SUMS, run=fill)), config, "sums")
    assert error.value.errno == 28 and str(small_disk) in error.value.filename
    assert states(numbers) == before
    (partial,) = (small_disk / "toy/sums").glob("*.partial")
    (partial / "large").unlink()
    assert execute(STAGES, config, "report")["numbers"] == numbers
    assert states(numbers) == before


@pytest.mark.parametrize("count", [0, 1])
def test_numbers_of_any_count_run(count, tmp_path):
    folders = execute(STAGES, Toy(runs_dir=str(tmp_path), numbers=Numbers(count=count)), "report")
    assert set(folders) == {"numbers", "sums", "report"}
