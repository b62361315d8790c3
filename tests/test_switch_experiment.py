"""The experiment that compares Switch with dense: its tables and its stopwatch, and slowly all of it."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fairseq")
pytest.importorskip("matplotlib")

from tests.training.job import prepared_corpus

FOLDER = Path(__file__).parents[1] / "experiments" / "switch"
TRAINS = """
import json, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
(folder / "aside").touch()
(folder / "aside").rename(folder / "training.jsonl")
for update in (50, 100):
    while time.process_time() < update / 200:
        pass
    with (folder / "training.jsonl").open("a") as stream:
        stream.write(json.dumps({"kind": "train", "update": update}) + "\\n")
time.sleep(1)
"""
"""A process that works and logs as a training does."""


@pytest.fixture(scope="module")
def modules():
    """`run` and `stopwatch` of the experiment."""
    sys.path.insert(0, str(FOLDER))
    try:
        found = {}
        for name in ("run", "stopwatch"):
            spec = importlib.util.spec_from_file_location(f"switch_{name}", FOLDER / f"{name}.py")
            found[name] = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = found[name]
            spec.loader.exec_module(found[name])
    finally:
        sys.path.remove(str(FOLDER))
    return found


def record(kind: str, update: int) -> dict[str, Any]:
    return {"kind": kind, "update": update}


def test_the_time_of_a_training_leaves_validations_out_and_goes_on_from_what_is_kept(modules):
    records = [record("train", 50), record("valid", 50), record("train", 100)]
    account = modules["stopwatch"].Account([], {}, now=10.0)
    for count, now in enumerate((12.0, 15.0, 16.0), 1):
        assert account.see(records[:count], now)
    assert not account.see(records, 20.0)
    assert account.times == {50: 2.0, 100: 3.0}
    account = modules["stopwatch"].Account(records[:2], {50: 2.0}, now=1.0)
    account.see([*records[:2], record("train", 100)], 5.0)
    assert account.times == {50: 2.0, 100: 6.0}


def test_the_stopwatch_finds_the_process_that_trains_and_keeps_its_times(modules, tmp_path):
    stopwatch = modules["stopwatch"]
    with stopwatch.Stopwatch(tmp_path):
        subprocess.run([sys.executable, "-c", TRAINS, str(tmp_path)], check=True)
    times = stopwatch.read_times(tmp_path)
    assert list(times) == [50, 100] and times[100] > 0
    with stopwatch.Stopwatch(tmp_path):
        pass  # what is finished is not trained again
    assert stopwatch.read_times(tmp_path) == times


def test_differences_to_dense_are_paired_by_seed(modules):
    def row(name, seed, loss, **more):
        values = {"mean_cv": None, "dropped_second_half": None, "ms_an_update": 100.0} | more
        return {"configuration": name, "seed": seed, "valid_nll": loss, **values}

    switch = {"mean_cv": 0.25, "dropped_second_half": 0.015, "ms_an_update": 120.0}
    rows = [
        row("dense", 1, 3.0),
        row("dense", 2, 4.0),
        row("Switch", 1, 2.9, **switch),
        row("Switch", 2, 3.9, **switch),
    ]
    lines = modules["run"].table(rows).splitlines()
    assert lines[2] == "| dense | 3.500 ± 0.707 |  | 100 |  |  |"
    assert lines[3] == "| Switch | 3.400 ± 0.707 | -0.100 ± 0.000 | 120 | 0.25 | 1.5% |"


@pytest.mark.slow
def test_all_is_trained_once_and_compared(tmp_path):
    data = prepared_corpus(tmp_path / "data")
    places = ["--data", data, "--work", tmp_path / "work", "--out", tmp_path / "out"]
    options = [*places, "--updates", 4, "--seeds", 1]
    command = list(map(str, [sys.executable, FOLDER / "run.py", *options]))
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    names = ("final", "curves", "loads")
    tables = {name: list(csv.DictReader((tmp_path / "out" / f"{name}.csv").open(newline=""))) for name in names}
    assert len(tables["final"]) == 4
    assert {row["configuration"] for row in tables["loads"]} == {row["configuration"] for row in tables["final"]} - {
        "dense"
    }
    assert {row["split"] for row in tables["curves"]} == {"train", "valid"}
    about = json.loads((tmp_path / "out" / "switch.json").read_text())
    assert {"command", "date", "versions", "costs"} <= set(about) and str(tmp_path) not in json.dumps(about)
    assert "<svg" in (tmp_path / "out" / "switch.svg").read_text()
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).returncode == 0
    assert {path: path.read_bytes() for path in before} == before
