"""Budgets, archives and foreign weights in a run: what is refused, and what a torn archive costs."""

import json
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from automoe.cli import main
from automoe.latency import ProfileConfig
from automoe.pipeline import search as search_stage
from automoe.pipeline import select as select_stage
from automoe.pipeline.compose import compose
from automoe.pipeline.config import RunConfig
from automoe.pipeline.stage import Inputs
from automoe.search import Quality, read_archive
from tests.search.analytic import loss

KILLER = Path(__file__).parent / "killer"


@pytest.fixture
def copied(tiny_run, tmp_path):
    """A copy of the tiny run that may be changed."""
    shutil.copytree(tiny_run.run_dir, tmp_path / "tiny", symlinks=True)
    return tmp_path


def test_with_a_recorded_table_the_choice_does_not_depend_on_how_much_is_measured():
    def part(table, **settings):
        return select_stage.SELECT.part(RunConfig(space="tiny", profile=ProfileConfig(table=table, **settings)))

    settings = {"architectures": 99, "doubts": 0.1, "repeats": 7, "max_repeats": 70, "tolerance": 0.5}
    for name, value in settings.items():
        more = {"max_repeats": 15, name: value}
        assert part("table.jsonl", **more) == part("table.jsonl")
        assert part(None, **more) != part(None)


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


class Killed(BaseException):
    """Stands for a process that ends in the middle of a stage."""


class World:
    """A choice with made-up losses and made-up measured latencies, in the finished folders of the tiny run.

    Args:
        tiny_run: the finished run.
        runs_dir: where the folder of the stage is made.
        monkeypatch: of the test.
        overrides: of the settings.
    """

    def __init__(self, tiny_run, runs_dir, monkeypatch, *overrides):
        configs = []
        compose("automoe select", tiny_run.arguments("select", *overrides)[1:], RunConfig, configs.append)
        part = select_stage.SELECT.part(configs[0])
        self.part = replace(part, profile=replace(part.profile, table=None))  # so that it measures
        stages = ("data", "supernet", "profile", "predictor", "search")
        folders = {name: (tiny_run.run_dir / name / "current").resolve() for name in stages}
        self.inputs = Inputs(folders=folders, maybe_seed=1)
        self.runs_dir, self.evaluated, self.measured = runs_dir, [], []
        self.dies_at, self._ticks = None, 0
        monkeypatch.setattr(select_stage, "evaluator_of", lambda _part, _inputs: self._evaluate)
        on_demand = lambda measuring, arch: self._measure(measuring._out, measuring._measured, arch)  # noqa: E731
        monkeypatch.setattr(select_stage._Measuring, "measure", on_demand)

    def run(self, name):
        """Runs the stage, and goes on as long as it is killed; the folder, and how often it was."""
        out = self.runs_dir / "tiny" / "select" / name
        out.mkdir(parents=True)
        kills = 0
        while True:
            try:
                select_stage.SELECT.run(self.part, self.inputs, out)
                return out, kills
            except Killed:
                kills += 1

    def tick(self):
        """Something is done that takes long: here the process may die."""
        self._ticks += 1
        if self.dies_at is not None and self._ticks % self.dies_at == 0:
            raise Killed

    def _evaluate(self, arch):
        self.tick()
        self.evaluated.append(arch.digest)
        return Quality(loss(arch))

    def _measure(self, out, table, arch):
        """What the predictor says, up to a third more, by the digest; it is on the disk at once, as a table is."""
        path = out / "measured.json"
        found = json.loads(path.read_text()) if path.exists() else {}
        if arch.digest not in found:
            self.tick()
            self.measured.append(arch.digest)
            model = select_stage.RefittedCosts(self.part, self.inputs, table)
            median = float(model([arch])["latency_ms"].mean_N[0]) * (1 + int(arch.digest, 16) % 100 / 300)
            found[arch.digest] = [median, 0.98 * median, 1.02 * median]
            path.write_text(json.dumps(found))
        return tuple(found[arch.digest])


NAMES = ("selection.json", "archive.jsonl", "measured.json", "rounds.json")
REFITTING = ("select.near=30", "select.extra_evaluations=6", "select.measure=3", "select.refits=2")


def made(folder):
    return {name: (folder / name).read_bytes() for name in NAMES}


@pytest.fixture
def refitting(tiny_run, tmp_path, monkeypatch):
    return World(
        tiny_run, tmp_path, monkeypatch, *REFITTING, "budget={latency_ms: {max_ratio: 0.75, quantile: 0.95}}"
    )


def test_a_choice_that_refits_and_is_killed_again_and_again_ends_with_the_same_bytes(refitting):
    folder, _ = refitting.run("undisturbed")
    expected = made(folder)
    reasons = json.loads(expected["selection.json"])["reasons"]
    rounds = json.loads(expected["rounds.json"])
    assert sum("Fitted the predictor again" in reason for reason in reasons) == len(rounds) - 1 >= 1
    assert rounds == [24 + 6 * (index + 1) for index in range(len(rounds))]
    calls = len(refitting.evaluated) + len(refitting.measured)
    for dies_at in (2, 3, 5):
        shutil.rmtree(folder)  # what another choice evaluated would be reused
        refitting.dies_at = dies_at
        folder, kills = refitting.run(f"killed{dies_at}")
        assert kills >= calls // dies_at
        assert made(folder) == expected


def test_after_a_refit_new_costs_are_of_the_refitted_predictor(refitting):
    folder, _ = refitting.run("undisturbed")
    archive = read_archive(folder / "archive.jsonl")
    first_round, *_, last_round = json.loads((folder / "rounds.json").read_bytes())
    model = select_stage.RefittedCosts(
        refitting.part, refitting.inputs, select_stage.read_table(refitting.inputs["profile"] / "table.jsonl")
    )
    fresh = model([record.arch for record in archive.records])["latency_ms"].mean_N
    pairs = zip(archive.records, fresh, strict=True)
    agrees = [abs(record.costs["latency_ms"].mean / mean - 1) < 1e-6 for record, mean in pairs]
    assert all(agrees[:first_round])
    assert not any(agrees[first_round:last_round])


def test_what_another_choice_of_the_run_evaluated_is_not_evaluated_again(refitting):
    first, _ = refitting.run("first")
    evaluated = len(refitting.evaluated)
    second, _ = refitting.run("second")
    assert len(refitting.evaluated) == evaluated > 0
    assert made(first)["archive.jsonl"] == made(second)["archive.jsonl"]


def test_a_search_looks_into_the_archives_of_choices_too(refitting):
    folder, _ = refitting.run("chosen")
    out = refitting.runs_dir / "tiny" / "search" / "next"
    out.mkdir(parents=True)
    assert search_stage.other_archives(out) == [folder / "archive.jsonl"]


def test_the_search_goes_on_within_what_the_search_may_not_exceed(tiny_run, tmp_path, monkeypatch):
    world = World(tiny_run, tmp_path, monkeypatch, *REFITTING, "search.within={params_m: {max_ratio: 0.6}}")
    folder, _ = world.run("within")
    archive = read_archive(folder / "archive.jsonl")
    most = 0.6 * json.loads((world.inputs["predictor"] / "bounds.json").read_bytes())["largest"]["params_m"]
    assert len(archive) > 24
    assert all(record.costs["params_m"].mean <= most for record in archive.records[24:])


def test_a_round_that_finds_fewer_than_it_may_ends_where_it_ends(refitting, monkeypatch, capsys):
    class FindsTwo(select_stage.FocusedSearch):
        given = None

        def tell(self, records):
            super().tell(records)
            self.given = len(self.told) if self.given is None else self.given

        def ask(self, num, pending=()):
            return super().ask(num, pending)[: self.given + 2 - len(self.told)]

    monkeypatch.setattr(select_stage, "FocusedSearch", FindsTwo)
    expected, _ = refitting.run("undisturbed")
    rounds = json.loads((expected / "rounds.json").read_bytes())
    assert rounds == [24 + 2 * (index + 1) for index in range(len(rounds))] and len(rounds) > 1
    assert "no further architecture was found" in capsys.readouterr().err
    content = made(expected)
    shutil.rmtree(expected)
    refitting.dies_at = 2
    folder, kills = refitting.run("killed")
    assert kills
    assert made(folder) == content


def test_a_search_within_what_nothing_keeps_is_refused_with_what_would_do(tiny_run, copied, capsys):
    bounds = json.loads((copied / "tiny/predictor/current/bounds.json").read_bytes())
    mean, lower, upper = bounds["minima"]["latency_ms"]
    assert lower < mean < upper
    before = sorted((copied / "tiny" / "search").iterdir())
    message = refused(tiny_run, copied, capsys, "search", f"search.within={{latency_ms: {mean}}}")
    assert f"search.within.latency_ms={mean}: no architecture was found" in message
    after = [path for path in (copied / "tiny" / "search").iterdir() if path not in before]
    assert all(path.name.endswith(".partial") for path in after)
    enough = message.partition("Raise search.within.latency_ms to ")[2].split()[0]
    overrides = (f"search.within={{latency_ms: {enough}}}", "search.evaluations=1")
    assert main(tiny_run.arguments("search", *overrides, runs_dir=copied)) == 0
