"""Measuring in a run: a killed profile loses no finished row and measures none twice; other tables are refused."""

import json
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from automoe.cli import main
from automoe.data import PreparedData
from automoe.errors import ConfigError
from automoe.latency import ProfileConfig, read_table
from automoe.nn.expert_loads import expert_loads
from automoe.pipeline.config import RunConfig
from automoe.pipeline.measuring import Bench
from automoe.pipeline.profile import doubtful_architectures
from automoe.pipeline.run import SEARCH_STAGES
from automoe.pipeline.supernet import trained_model
from automoe.space import (
    DecoderLayerChoices,
    ExpertChoices,
    LayerChoices,
    SearchSpace,
    SideChoices,
    find_space,
    read_space,
)

KILLER = Path(__file__).parent / "killer"
MEASURE = ("profile.table=null", "profile.architectures=6", "profile.repeats=1", "profile.max_repeats=1")
# Rows are appended: the table is opened for writing once for each.
MOMENTS = (
    "write 1 profile/.*/table.jsonl$",
    "write 3 profile/.*/table.jsonl$",
    "write 4 profile/.*/table.jsonl$",
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
        (["profile.batch=3"], "batch=1", "Set profile.batch"),
        (["profile.routing=even"], "routing=trained", "Set profile.routing"),
        (["profile.lengths=[5,6,7]"], "lengths=None", "Set profile.lengths"),
    ],
)
def test_table_measured_in_another_way_is_refused(tiny_run, capsys, overrides, key, fix):
    message = refused(tiny_run, capsys, *overrides)
    assert f":1: {key}: was measured under other circumstances" in message and fix in message


def test_table_of_an_older_format_is_refused(tiny_run, tmp_path, capsys):
    header, *rows = (tiny_run.run_dir / "profile/current/table.jsonl").read_text().splitlines()
    old = json.loads(header) | {"format": 2}
    del old["batch"]
    (tmp_path / "table.jsonl").write_text("\n".join([json.dumps(old), *rows]) + "\n")
    message = refused(tiny_run, capsys, f"profile.table={tmp_path}/table.jsonl")
    assert "table.jsonl:1: format=2: is of another version of AutoMoE (allowed: 3)" in message


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


def test_settings_that_a_recorded_table_does_not_depend_on_make_nothing_anew(tiny_run, capsys):
    settings = ["profile.repeats=7", "profile.max_repeats=70", "profile.tolerance=0.5", "profile.doubts=0.1"]
    assert main(tiny_run.arguments("profile", *settings)) == 0
    assert "profile" in (errors := capsys.readouterr().err) and "done in" not in errors


@pytest.mark.parametrize(
    ("profile", "device", "message"),
    [
        ({"threads": 2}, "cpu-1t", "profile.threads=2: measures on cpu-2t, .*cpu-1t. Set profile.threads=1, or"),
        ({"device": "cuda"}, "cpu-1t", "profile.device=cuda: measures on cuda, .*cpu-1t. Set profile=cpu, or"),
        ({}, "cuda", "profile.device=cpu: measures on cpu-1t, .* meant for cuda. Set profile=cuda, or"),
    ],
)
def test_limit_on_another_device_than_is_measured_names_the_key_to_change(profile, device, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig(profile=ProfileConfig(**profile), budget={"latency_ms": {"max": 5, "device": device}})


GPU = ProfileConfig(device="cuda", backend="torch", precision="bfloat16")


@pytest.mark.parametrize("table", [None, "gpu.jsonl"])
def test_stages_that_measure_and_no_others_need_the_device(monkeypatch, table):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    config = RunConfig(
        space="tiny", profile=replace(GPU, table=table), budget={"latency_ms": {"max": 5, "device": "cuda"}}
    )
    lacking = []
    for stage in SEARCH_STAGES:
        part = stage.part(config)  # planning a finished run needs no device
        try:
            stage.check(part)
        except ConfigError as error:
            assert error.key == "profile.device"
            lacking.append(stage.name)
    assert lacking == [*(["profile", "select"] if table is None else []), "export", "evaluate"]


def test_without_the_gpu_that_evaluate_measures_on_nothing_is_trained_even_with_a_recorded_table(
    tiny_run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    header, *rows = (tiny_run.run_dir / "profile/current/table.jsonl").read_text().splitlines()
    of_gpu = {"device": "cuda", "backend": "torch", "precision": "bfloat16"}
    (tmp_path / "gpu.jsonl").write_text("\n".join([json.dumps(json.loads(header) | of_gpu), *rows]) + "\n")
    overrides = [
        *("profile=cuda", f"profile.table={tmp_path}/gpu.jsonl", f"runs_dir={tmp_path}/runs"),
        "budget.latency_ms.device=cuda",
    ]
    message = refused(tiny_run, capsys, *overrides, stage="evaluate")
    assert "profile.device=cuda: is no device of this machine" in message
    assert not (tmp_path / "runs").exists()


TINY = read_space(find_space("tiny"))


@pytest.fixture
def most_doubtful(monkeypatch):
    """Stands for the predictor: doubts what is deepest, and notes what it learnt from."""
    learnt = []

    def choose(archs, values_N, candidates, count):
        learnt.append((list(archs), list(values_N)))
        return sorted(range(len(candidates)), key=lambda index: -len(candidates[index].decoder.layers))[:count]

    monkeypatch.setattr("automoe.pipeline.profile.most_doubtful", choose)
    return learnt


def test_doubtful_architectures_are_new_ones_of_the_space_and_the_same_after_a_kill(tiny_run, most_doubtful):
    rows = read_table(tiny_run.run_dir / "profile/current/table.jsonl").rows
    measured = [row.arch for row in rows[:8]]
    chosen = doubtful_architectures(TINY, measured, rows[:8], 5, seed=3)
    assert len(set(chosen)) == 5 and not set(chosen) & set(measured)
    assert all(arch in TINY and len(arch.decoder.layers) == 2 for arch in chosen)
    names = ("latency_ms", "encoder_ms", "low_ms", "high_ms")
    settled = [replace(row, **{name: getattr(row, name) * 1.01 for name in names}) for row in rows]
    assert doubtful_architectures(TINY, measured, settled[::-1], 5, seed=3) == chosen
    assert most_doubtful[0] == most_doubtful[1] == (measured, [row.reference_ratio for row in rows[:8]])
    assert doubtful_architectures(TINY, measured, rows, 5, seed=4) != chosen


def test_no_more_are_doubted_than_the_space_has(tiny_run, most_doubtful):
    one = ExpertChoices.fixed((8,))
    few = SearchSpace(
        name="few",
        encoder=SideChoices(dim=(16,), depth=(1, 2), layers=(LayerChoices(heads=(2,), experts=one),) * 2),
        decoder=SideChoices(dim=(16,), depth=(1, 2), layers=(DecoderLayerChoices(heads=(2,), experts=one),) * 2),
    )
    (row, *_) = read_table(tiny_run.run_dir / "profile/current/table.jsonl").rows
    largest = replace(row, architecture=few.largest().to_dict(), digest=few.largest().digest)
    chosen = doubtful_architectures(few, [few.largest()], [largest], 10, seed=1)
    assert len(set(chosen)) == few.num_architectures - 1 == 3
    rows = [replace(row, architecture=arch.to_dict(), digest=arch.digest) for arch in (few.largest(), *chosen)]
    assert doubtful_architectures(few, [each.arch for each in rows], rows, 10, seed=1) == []


@pytest.fixture(scope="module")
def bench_of(tiny_run, tmp_path_factory):
    supernet = trained_model(tiny_run.run_dir / "supernet/current")
    prepared = PreparedData.open(tiny_run.run_dir / "data/current")

    def make(beam=2, **settings):
        config = ProfileConfig(**{"sentences": 6, "max_repeats": 5} | settings)
        return Bench(supernet, prepared, TINY, config, beam, tmp_path_factory.mktemp("bench"))

    return make


def test_sentences_translated_together_share_their_steps(bench_of):
    alone, together = bench_of(), bench_of(batch=3)
    assert alone.panel == together.panel
    steps = together.profiler(None).measure(TINY.largest()).steps
    assert max(alone.panel.lengths) < steps < alone.panel.steps
    assert (alone.header.batch, together.header.batch) == (1, 3)


def test_random_sentences_have_the_lengths_in_turn(bench_of):
    bench = bench_of(lengths=(4, 9), backend="torch")
    assert [len(source) for source in bench.panel.sources] == [4, 9] * 3
    assert bench.profiler(None).measure(TINY.largest()).steps == 3 * (4 + 9)
    assert (bench.header.lengths, bench.header.backend) == ((4, 9), "torch")
    for loads in bench.loads(TINY.largest()).values():
        assert sum(loads) == pytest.approx(1, abs=1e-3)


def test_even_routing_loads_experts_about_alike_and_trained_routing_as_the_weights_decide(bench_of):
    trained, even = (bench_of(routing=routing).loads(TINY.largest()) for routing in ("trained", "even"))
    assert trained.keys() == even.keys() and trained != even
    for layer, loads in even.items():
        assert sum(loads) == pytest.approx(1, abs=1e-3)
        assert max(loads) * len(loads) < 1.5, layer
    assert bench_of(routing="even").loads(TINY.largest()) == even


def test_routers_are_made_even_in_the_model_that_is_timed(bench_of, monkeypatch):
    shipped = []
    bench = bench_of(routing="even")
    monkeypatch.setattr("automoe.pipeline.shipping.ship", lambda model, *_, **__: shipped.append(model) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.profiler(None)
    with pytest.raises(ZeroDivisionError):
        bench._shipyard.open(TINY.largest())
    counts = expert_loads(shipped[-1].eval(), bench._load_batches)
    assert bench.loads(TINY.largest()) == {
        f"{side} {layer}": [round(count / sum(loads), 4) for count in loads]
        for (side, layer), loads in counts.items()
    }
