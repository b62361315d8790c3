"""Measuring in a run: a killed profile loses no finished row and measures none twice; other tables are refused."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from automoe.cli import main
from automoe.latency import read_table
from automoe.space import find_space, read_space

KILLER = Path(__file__).parent / "killer"
MEASURE = ("profile.table=null", "profile.architectures=6", "profile.repeats=1")
# Rows are appended: the table is opened for writing once for each.
MOMENTS = (
    "write 1 profile/.*/table.jsonl$",
    "write 3 profile/.*/table.jsonl$",
    "rename 1 profile/[0-9a-f]+.partial$",
)


def test_killed_profile_loses_no_finished_row_and_measures_none_twice(tiny_run, tmp_path):
    for stage in ("data", "supernet"):
        shutil.copytree(tiny_run.run_dir / stage, tmp_path / "tiny" / stage, symlinks=True)
    shutil.copy(tiny_run.run_dir / "run.json", tmp_path / "tiny")
    command, seen = tiny_run.command("profile", *MEASURE, runs_dir=tmp_path), []
    for moment in MOMENTS:
        env = tiny_run.env | {"KILL_AT": moment, "PYTHONPATH": str(KILLER)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        tables = list(tmp_path.glob("tiny/profile/*.partial/table.jsonl"))
        rows = [json.loads(line) for line in tables[0].read_text().splitlines()[1:]] if tables else []
        times = [(row["digest"], row["raw_ms"]) for row in rows]
        assert times[: len(seen)] == seen  # to the last digit: nothing was lost or measured again
        seen = times
    done = subprocess.run(command, env=tiny_run.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = read_table(tmp_path / "tiny/profile/current/table.jsonl")
    assert [(row.digest, row.raw_ms) for row in table.rows][: len(seen)] == seen
    assert len({row.digest for row in table.rows}) == len(table.rows) == 6


def test_tables_begin_with_the_largest_and_the_smallest_which_is_the_reference(tiny_run):
    table = read_table(tiny_run.run_dir / "profile/current/table.jsonl")
    space = read_space(find_space("tiny"))
    assert [row.digest for row in table.rows[:2]] == [space.largest().digest, space.smallest().digest]
    assert table.header.reference_digest == space.smallest().digest


def refused(tiny_run, capsys, *overrides, stage="profile"):
    assert main(tiny_run.arguments(stage, *overrides)) == 2
    return capsys.readouterr().err


def test_table_of_another_space_is_refused_before_anything_runs(tiny_run, tmp_path, capsys):
    other = (Path(__file__).parents[2] / "search_spaces" / "tiny.yaml").read_text().replace("[16, 32]", "[16, 48]")
    (tmp_path / "other.yaml").write_text(other)
    message = refused(tiny_run, capsys, f"space={tmp_path}/other.yaml")
    assert "was measured for the space" in message
    assert "profile.table" in message or "tiny_table.jsonl" in message


def test_missing_table_is_refused(tiny_run, tmp_path, capsys):
    assert "there is no such file" in refused(tiny_run, capsys, f"profile.table={tmp_path}/none.jsonl")


@pytest.mark.parametrize("damage", ["torn", "nan", "twice"])
def test_damaged_table_is_refused_with_its_line(tiny_run, tmp_path, capsys, damage):
    lines = (tiny_run.run_dir / "profile/current/table.jsonl").read_text().splitlines()
    row = json.loads(lines[2])
    if damage == "torn":
        lines[2] = lines[2][:50]
    elif damage == "nan":
        lines[2] = json.dumps(row | {"latency_ms": float("nan")})
    else:
        lines.append(lines[2])
    (tmp_path / "table.jsonl").write_text("\n".join(lines) + "\n")
    line = len(lines) if damage == "twice" else 3
    assert f"table.jsonl:{line}: " in refused(tiny_run, capsys, f"profile.table={tmp_path}/table.jsonl")


@pytest.mark.parametrize(
    ("overrides", "key", "fix"),
    [
        (["profile.precision=int8"], "precision=float32", "Set profile.precision"),
        (["profile.backend=torch"], "backend=onnx", "Set profile.backend"),
        (["decoding.beam=3"], "beam=5", "Set decoding.beam"),
    ],
)
def test_table_of_another_backend_precision_or_beam_is_refused(tiny_run, capsys, overrides, key, fix):
    message = refused(tiny_run, capsys, *overrides)
    assert f":1: {key}: was measured under other circumstances" in message and fix in message


def test_table_without_a_precision_is_refused(tiny_run, tmp_path, capsys):
    header, *rows = (tiny_run.run_dir / "profile/current/table.jsonl").read_text().splitlines()
    old = json.loads(header) | {"format": 1}
    del old["precision"]
    (tmp_path / "table.jsonl").write_text("\n".join([json.dumps(old), *rows]) + "\n")
    message = refused(tiny_run, capsys, f"profile.table={tmp_path}/table.jsonl")
    assert "table.jsonl:1: format=1: is of another version of AutoMoE (allowed: 2)" in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["profile.precision=int4"], "profile.precision=int4: is not allowed (allowed: float32, int8)"),
        (["profile.precision=int8", "profile.backend=torch"], "profile.precision=int8: is not known to the backend"),
        (
            ["profile.precision=int8", "export.precisions=[float32]"],
            "profile.precision=int8: measures in a precision",
        ),
        (["export.precisions=[int4]"], "export.precisions=int4: is not allowed (allowed: float32, int8)"),
        (["export.precisions=[int8]"], "export.precisions=int8: lacks float32"),
        (["export.precisions=[]"], "export.precisions=[]: lacks float32"),
        (["export.shortlist=false"], "export.shortlist: is a section: set the keys in it"),
    ],
)
def test_wrong_precisions_are_refused_before_anything_runs(tiny_run, tmp_path, capsys, overrides, message):
    assert message in refused(tiny_run, capsys, "profile.table=null", f"runs_dir={tmp_path}", *overrides)
    assert not (tmp_path / "tiny").exists()
