"""A run folder that somebody or something damaged: what the user reads, and that what was finished stays."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from automoe.cli import main
from automoe.training.log import read_log


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the finished run."""
    copy = tmp_path / "runs" / tiny_run.run_dir.name
    shutil.copytree(tiny_run.run_dir, copy, symlinks=True)
    return copy


@pytest.fixture
def automoe(capfd, tiny_run, tmp_path):
    """Runs a command on the copy; gives exit status, stdout and stderr. A traceback fails the test."""

    def call(stage, *more):
        arguments = [stage, *more, "--runs-dir", str(tmp_path / "runs")]
        if stage not in ("status", "clean"):
            arguments = tiny_run.arguments(stage, *more, runs_dir=tmp_path / "runs")
        status = main(arguments)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return call


def result(run, stage):
    return run / stage / (run / stage / "current").readlink()


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


def states(run):
    """Content and time of every finished file."""
    files = [path for path in run.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files if ".partial" not in str(path)}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def remove_export(run):
    shutil.rmtree(result(run, "export"))


DAMAGES = {
    "another version": (
        lambda run: edit(run / "run.json", '"format": 1', '"format": 2'),
        r"run\.json: is of run-folder format 2; automoe .* reads format 1 only. Use another run folder \(run=NAME\)",
    ),
    "a torn run.json": (lambda run: (run / "run.json").write_text("{"), r"run\.json: is damaged: .*run=NAME"),
    "no run.json": (lambda run: (run / "run.json").unlink(), r"is not a run folder: it has no run\.json"),
    "a result of another version": (
        lambda run: edit(result(run, "export") / "manifest.json", '"format": 1', '"format": 9'),
        r"export/\w+/manifest\.json: is of run-folder format 9",
    ),
    "a torn manifest": (
        lambda run: (result(run, "data") / "manifest.json").write_text('{"a'),
        r"data/\w+/manifest\.json: is damaged: .*Move the folder .* away and run the same command again",
    ),
    "a shortened file": (
        lambda run: (result(run, "evaluate") / "scores.json").write_text("{}"),
        r"scores\.json: has 2 bytes, but the manifest says \d+ bytes. Move the folder",
    ),
    "a missing file": (
        lambda run: (result(run, "supernet") / "model.safetensors").unlink(),
        r"model\.safetensors: is missing, but the manifest says \d+ bytes",
    ),
    "a flipped byte in the data": (
        lambda run: (remove_export(run), flip(result(run, "data") / "text/train.src", 5)),
        r"text/train\.src: the file was altered after it was prepared",
    ),
    "a flipped byte in the weights": (
        lambda run: (remove_export(run), flip(result(run, "distill") / "model.safetensors", 5000)),
        r"distill/\w+: the trained model is damaged: .*Move the folder .* away",
    ),
    "a file where a stage must stand": (
        lambda run: (shutil.rmtree(run / "export"), (run / "export").write_text("")),
        r"export/.*: cannot be used: Not a directory",
    ),
    "a folder where a link must stand": (
        lambda run: ((run / "export/current").unlink(), (run / "export/current").mkdir()),
        r"export/current: is a folder where a link must stand. Move it away",
    ),
    "a folder where the lock must stand": (
        lambda run: ((run / ".lock").unlink(), (run / ".lock").mkdir()),
        r"\.lock: cannot be used: Is a directory",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_nothing_is_touched(run, automoe, damage):
    make, message = DAMAGES[damage]
    make(run)
    before = states(run)
    status, out, err = automoe("run")
    assert (status, out) == (2, "") and re.search(message, err), err
    assert states(run) == before


@pytest.mark.parametrize("damage", ["another version", "a torn manifest", "a missing file"])
def test_status_shows_damage_and_goes_on(run, automoe, damage):
    make, message = DAMAGES[damage]
    make(run)
    status, out, _ = automoe("status")
    assert status == 0 and re.search(message, out)


@pytest.mark.parametrize("target", ["nowhere", "../../../../../etc", ""])
def test_a_wrong_link_stops_clean_and_the_next_run_mends_it(run, automoe, target):
    link = run / "export/current"
    link.unlink()
    if target:
        link.symlink_to(target)
        before = states(run)
        status, _, err = automoe("clean", run.name, "--yes")
        assert status == 2 and f"export/current: leads to '{target}', which is no result" in err
        assert states(run) == before
    else:
        link.write_text("a file")
    assert automoe("export")[0] == 0 and result(run, "export").is_dir()


def test_a_lock_that_a_killed_process_left_locks_nothing(run, automoe):
    (run / ".lock").write_text(json.dumps({"pid": 1, "host": "elsewhere"})[:-5])
    assert automoe("export")[0] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "tiny: cannot be made a folder: File exists"), ("mine", "tiny: is not a run folder: it has no run.json")],
)
def test_what_is_no_run_folder_is_left_alone(automoe, tmp_path, content, message):
    place = tmp_path / "runs/tiny"
    (place if content is None else place / "file").parent.mkdir(parents=True)
    (place if content is None else place / "file").write_text("mine")
    before = states(tmp_path)
    status, _, err = automoe("data")
    assert status == 2 and message in err and states(tmp_path) == before


BUNDLES = {
    "a flipped byte": (
        lambda bundle: flip(bundle / "model.safetensors", 5000),
        r"model\.safetensors: is damaged: its SHA-256 is \w+\.\.\. instead of \w+\.\.\.\. Copy the bundle again",
    ),
    "a half-written file": (
        lambda bundle: os.truncate(bundle / "model.safetensors", 1000),
        r"model\.safetensors: has 1000 bytes instead of \d+",
    ),
    "a missing file": (lambda bundle: (bundle / "segmenter.model").unlink(), r"segmenter\.model: is missing"),
    "a torn manifest": (
        lambda bundle: os.truncate(bundle / "bundle.json", 200),
        r"bundle\.json: is damaged or cut off",
    ),
    "a newer version": (
        lambda bundle: edit(bundle / "bundle.json", '"format_version": 1', '"format_version": 2'),
        r"format_version=2: was written by AutoMoE .*\(allowed: up to 1\). Install AutoMoE",
    ),
    "no manifest": (lambda bundle: (bundle / "bundle.json").unlink(), r"holds no bundle\.json, so it is no bundle"),
}


@pytest.mark.parametrize("damage", BUNDLES)
def test_a_damaged_bundle_translates_nothing(tiny_run, tmp_path, capfd, damage):
    make, message = BUNDLES[damage]
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_run.bundle, bundle)
    make(bundle)
    assert main(["translate", str(bundle), str(Path(__file__))]) == 2
    out, err = capfd.readouterr()
    assert out == "" and re.search(message, err) and "Traceback" not in err


@pytest.fixture
def half_trained(run):
    """The copy as if it had been killed at the end of its training; the unfinished folder."""
    finished = result(run, "supernet")
    for stage in ("export", "evaluate"):
        shutil.rmtree(run / stage)
    partial = finished.with_name(finished.name + ".partial")
    finished.rename(partial)
    for name in ("manifest.json", "model.json", "model.safetensors"):
        (partial / name).unlink()
    return partial


def test_a_training_with_a_torn_checkpoint_goes_on_from_the_one_before(half_trained, run, automoe, tiny_run):
    os.truncate(half_trained / "checkpoints/checkpoint_00000020.pt", 5000)
    (half_trained / "checkpoints/checkpoint_00000030.pt.partial").write_bytes(b"half")
    (half_trained / "job.json").write_text("{")
    with (half_trained / "training.jsonl").open("ab") as records:
        records.write(b'{"kind": "va\xff')
    status, _, err = automoe("supernet")
    assert status == 0 and "goes on" in err
    trained, undisturbed = result(run, "supernet"), result(tiny_run.run_dir, "supernet")
    assert read_log(trained) == read_log(undisturbed)
    assert (trained / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()
    log = (trained / "training.log").read_text()
    assert "checkpoint_00000020.pt is damaged; the one before it is used" in log
    assert re.search(r"Loaded checkpoint \S*checkpoint_00000010\.pt", log)  # starting anew would give the same bits
    assert not list(trained.rglob("*.partial"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["training.lr=1e6", "training.clip_norm=0", "training.warmup_updates=1"],
            r"training\.lr=1000000\.0: update \d+: .*Lower the learning rate",
        ),
        (
            ["training.max_tokens=5"],
            r"training\.max_tokens=5: a sentence of the train set has \d+ tokens and .*\(allowed: >= \d+\)",
        ),
    ],
)
def test_a_training_that_fails_says_why_and_leaves_what_was_finished(run, automoe, settings, message):
    before = states(run)
    status, _, err = automoe("supernet", *settings)
    assert status == 2 and re.search(message, err), err
    assert states(run) == before


def test_a_killed_training_process_is_no_defect_and_frees_the_run(run, automoe, tiny_run):
    endless = tiny_run.command("supernet", "training.max_updates=1000000", runs_dir=run.parent)
    process = subprocess.Popen(endless, env=tiny_run.env, stderr=subprocess.PIPE, text=True)
    while not list(run.glob("supernet/*.partial/checkpoints/*.pt")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    os.kill(_child_of(process.pid), signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2 and "Traceback" not in err
    assert "was killed, as Linux does when memory runs out. The same command goes on from the newest" in err
    assert automoe("evaluate")[0] == 0


def _child_of(parent):
    (child,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    assert b"automoe.training.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    return int(child)
