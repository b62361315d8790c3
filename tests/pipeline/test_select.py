"""Budgets, archives and foreign weights in a run: what is refused, and what a torn archive costs."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from automoe.cli import main

KILLER = Path(__file__).parent / "killer"


@pytest.fixture
def copied(tiny_run, tmp_path):
    """A copy of the tiny run that may be changed."""
    shutil.copytree(tiny_run.run_dir, tmp_path / "tiny", symlinks=True)
    return tmp_path


def refused(tiny_run, runs_dir, capsys, stage, *overrides):
    assert main(tiny_run.arguments(stage, *overrides, runs_dir=runs_dir)) == 2
    return capsys.readouterr().err


def test_impossible_budget_is_refused_with_the_least_that_the_space_can_reach(tiny_run, copied, capsys):
    before = sorted((copied / "tiny" / "select").iterdir())
    (copied / "tiny" / "search" / "current").unlink()
    shutil.rmtree(next((copied / "tiny" / "search").iterdir()))  # it is refused before the search
    message = refused(tiny_run, copied, capsys, "run", "budget.latency_ms=0.001")
    bounds = json.loads((copied / "tiny/predictor/current/bounds.json").read_bytes())
    least = bounds["minima"]["latency_ms"][1]
    assert "budget.latency_ms=0.001: cannot be met: the cheapest architecture of space 'tiny' takes at " in message
    shown = float(message.partition("at least ")[2].split()[0])
    assert 0.8 * least <= shown <= 1.2 * least  # the bound at the limit's own quantile
    assert "decoder.layers starts at 1" in message
    assert sorted((copied / "tiny" / "select").iterdir()) == before
    assert not list((copied / "tiny" / "search").iterdir())


def test_exact_costs_are_refused_below_their_minimum_to_the_unit(tiny_run, copied, capsys):
    bounds = json.loads((copied / "tiny/predictor/current/bounds.json").read_bytes())
    least = bounds["minima"]["params_m"][0]
    assert "cannot be met" in refused(tiny_run, copied, capsys, "select", f"budget={{params_m: {least * 0.999}}}")


def test_impossible_exact_cost_is_refused_before_the_supernet_is_trained(tiny_run, tmp_path, capsys):
    message = refused(tiny_run, tmp_path, capsys, "run", "budget={memory_mb: 0.001}")
    assert "budget.memory_mb=0.001: cannot be met" in message
    assert {path.name for path in (tmp_path / "tiny").iterdir() if path.is_dir()} == {"data"}


def test_limits_in_another_order_are_the_same_budget(tiny_run, copied):
    first, second = "budget={latency_ms: 900, memory_mb: 90}", "budget={memory_mb: 90, latency_ms: 900}"
    for budget in (first, second):
        assert main(tiny_run.arguments("select", budget, runs_dir=copied)) == 0
    assert len([path for path in (copied / "tiny/select").iterdir() if not path.is_symlink()]) == 2


def test_with_a_recorded_table_the_choice_measures_nothing(tiny_run):
    assert not (tiny_run.run_dir / "select/current/table.jsonl").exists()


def test_choice_that_measures_goes_on_after_a_kill_without_measuring_twice(tiny_run, copied):
    settings = (
        "profile.table=null",
        "profile.repeats=1",
        "profile.architectures=9",
        "budget.latency_ms.max_ratio=0.8",
    )
    command = tiny_run.command("select", *settings, runs_dir=copied)
    kill = {"KILL_AT": "write 1 select/.*/selection.json", "PYTHONPATH": str(KILLER)}
    done = subprocess.run(command, env=tiny_run.env | kill, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (table,) = copied.glob("tiny/select/*.partial/table.jsonl")
    measured = table.read_bytes()
    done = subprocess.run(command, env=tiny_run.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = copied / "tiny/select/current"
    selection = json.loads((folder / "selection.json").read_bytes())
    (limit,) = selection["budget"]
    assert (folder / "table.jsonl").read_bytes() == measured
    assert len(measured.splitlines()) >= 10  # a header, the nine of the profile, and what was measured on demand
    assert selection["digest"] in selection["measured"]
    assert selection["costs"]["latency_ms"][2] <= limit["max"]


def test_damaged_file_of_the_right_size_is_named_with_the_way_out(tiny_run, copied, capsys):
    bounds = copied / "tiny/predictor/current/bounds.json"
    content = bounds.read_bytes()
    bounds.write_bytes(content[:20] + b"\xff\xff" + content[22:])
    message = refused(tiny_run, copied, capsys, "select", "budget.latency_ms=900")
    assert "bounds.json: is damaged" in message and "Move the folder" in message


def test_budgets_of_several_costs_hold_at_once(tiny_run, copied, capsys):
    largest = json.loads((copied / "tiny/predictor/current/bounds.json").read_bytes())["largest"]
    budget = f"budget={{latency_ms: {{max_ratio: 0.9}}, params_m: {0.7 * largest['params_m']}}}"
    assert main(tiny_run.arguments("select", budget, runs_dir=copied)) == 0
    costs = json.loads((copied / "tiny/select/current/selection.json").read_bytes())["costs"]
    assert costs["latency_ms"][0] <= 0.9 * largest["latency_ms"]
    assert costs["params_m"][0] <= 0.7 * largest["params_m"]


def unfinished(stage: Path) -> Path:
    """Turns the finished result of a stage into what a killed process leaves."""
    finished = stage / (stage / "current").readlink()
    (stage / "current").unlink()
    (finished / "manifest.json").unlink()
    return finished.rename(finished.with_name(finished.name + ".partial"))


def test_torn_last_line_of_an_archive_is_evaluated_again_and_nothing_else_is_lost(tiny_run, copied):
    expected = (tiny_run.run_dir / "search/current/archive.jsonl").read_bytes()
    archive = unfinished(copied / "tiny" / "search") / "archive.jsonl"
    archive.write_bytes(expected[:-40])
    command = tiny_run.command("search", runs_dir=copied)
    done = subprocess.run(command, env=tiny_run.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "the torn last line was dropped" in done.stderr
    assert (copied / "tiny/search/current/archive.jsonl").read_bytes() == expected


def test_damage_inside_an_archive_is_refused_with_its_line_and_changes_nothing(tiny_run, copied, capsys):
    archive = unfinished(copied / "tiny" / "search") / "archive.jsonl"
    lines = archive.read_bytes().split(b"\n")
    lines[3] = lines[3][:60]
    archive.write_bytes(b"\n".join(lines))
    assert "archive.jsonl:4: " in refused(tiny_run, copied, capsys, "search")
    assert archive.read_bytes() == b"\n".join(lines)


def test_supernet_of_another_vocabulary_is_refused(tiny_run, tmp_path, capsys):
    weights = tiny_run.run_dir / "supernet" / "current"
    settings = (f"supernet.weights={weights}", "data.vocabulary.size=210")
    message = refused(tiny_run, tmp_path, capsys, "supernet", *settings)
    assert "vocabulary of 200 pieces, the corpus one of 210" in message


def test_supernet_of_another_space_is_refused(tiny_run, tmp_path, capsys):
    weights = tiny_run.run_dir / "supernet" / "current"
    (tmp_path / "other.yaml").write_text(
        (Path(__file__).parents[2] / "search_spaces" / "tiny.yaml").read_text().replace("[16, 32]", "[16, 48]")
    )
    settings = (f"supernet.weights={weights}", f"space={tmp_path}/other.yaml")
    assert "another architecture" in refused(tiny_run, tmp_path, capsys, "supernet", *settings)
