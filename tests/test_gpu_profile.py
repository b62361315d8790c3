"""The script that measures architectures on a GPU, tried out on the CPU."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from automoe.latency import random_panel, read_table
from automoe.latency.sentences import PANEL_SEED
from automoe.space import Architecture, find_space, read_space
from tests.architectures import architecture, decoder_layer, encoder_layer

FOLDER = Path(__file__).parents[1] / "experiments" / "gpu_profile"
SMALLEST = architecture(16, [encoder_layer(16)], 16, [decoder_layer(16)])
LARGER = architecture(16, [encoder_layer(16, 16)], 16, [decoder_layer(16, 8), decoder_layer(16)])
NAMES = {f"cpu_{precision}_batch{batch}" for precision in ("bfloat16", "float32") for batch in (1, 32)}
BLOCKED = (
    *(
        "yaml",
        "pandas",
        "sklearn",
        "scipy",
        "onnx",
        "onnxruntime",
        "sentencepiece",
        "safetensors",
        "hydra",
        "omegaconf",
    ),
    *("fairseq", "optuna", "sacrebleu", "rich", "matplotlib", "jinja2"),
)
SMALL = {"LENGTH": 5, "REPEATS": 2, "MAX_REPEATS": 2}
"""With these the script takes seconds."""
RUN_BLOCKED = (
    f"SMALL = {SMALL}"
    + """
import importlib.util, sys

sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # as if they were not installed
spec = importlib.util.spec_from_file_location("gpu_profile", sys.argv[2])
module = sys.modules["gpu_profile"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
vars(module).update(SMALL)
sys.exit(module.main(sys.argv[3:]))
"""
)


def script(name):
    """A script of the folder as a module."""
    spec = importlib.util.spec_from_file_location(f"gpu_profile_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


MODULE = script("profile")


@pytest.fixture(scope="module")
def architectures(tmp_path_factory):
    """A list of two small architectures."""
    path = tmp_path_factory.mktemp("gpu_profile") / "architectures.json"
    header = {"space_name": "two", "space_digest": "0123456789ab", "vocab_size": 60}
    archs = [LARGER.to_dict(), SMALLEST.to_dict()]
    path.write_text(json.dumps(header | {"reference_digest": SMALLEST.digest, "architectures": archs}))
    return path


def run(architectures, out, *options):
    """Runs the script where nothing but PyTorch and NumPy is installed."""
    arguments = ["--out", out, "--architectures", architectures, *options]
    command = [sys.executable, "-c", RUN_BLOCKED, ",".join(BLOCKED), FOLDER / "profile.py", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100)


def test_with_torch_and_numpy_alone_four_tables_grow_together_and_are_gone_on_with(
    architectures, tmp_path, monkeypatch
):
    for name, value in SMALL.items():
        monkeypatch.setattr(MODULE, name, value)
    options = ["--out", tmp_path, "--architectures", architectures, "--device", "cpu", "--rows", 1]
    options += ["--minutes", 1000]  # they count from the import, which may be long ago
    assert MODULE.main(list(map(str, options))) == 0
    begun = {path.stem: read_table(path).rows[0].reference_ratio for path in tmp_path.glob("*.jsonl")}
    assert set(begun) == NAMES
    done = run(architectures, tmp_path, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        table = read_table(tmp_path / f"{name}.jsonl")
        assert table.architectures == [LARGER, SMALLEST]
        assert table.rows[0].reference_ratio == begun[name]  # it was not measured again
        header = table.header
        assert name == f"{header.device[:3]}_{header.precision}_batch{header.batch}"
        assert (header.space_digest, header.routing, header.lengths) == ("0123456789ab", "even", (5,))
        assert header.panel_digest == random_panel([5] * header.batch, 60, PANEL_SEED).digest, "profile's sentences"
        assert {row.steps for row in table.rows} == {5}
        assert set(table.rows[0].expert_loads) == {"encoder 0", "decoder 0"} and table.rows[1].expert_loads == {}
        with (tmp_path / f"{name}.csv").open() as stream:
            lines = list(csv.DictReader(stream))
        assert [line["digest"] for line in lines] == [LARGER.digest, SMALLEST.digest]
        assert [float(line["latency_ms"]) for line in lines] == [row.latency_ms for row in table.rows]
        assert [line["decoder_layers"] for line in lines] == ["2", "1"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "cuda"], "--device=cuda: is no device of this machine (allowed: cpu)"),
        (["--device", "cpu", "--minutes", "0"], "--minutes=0.0: is not allowed (allowed: > 0)"),
        (["--device", "cpu", "--rows", "0"], "--rows=0: is not allowed (allowed: >= 1)"),
    ],
)
def test_a_mistake_is_named_and_writes_nothing(architectures, tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.setattr(MODULE.torch.cuda, "is_available", lambda: False)
    assert MODULE.main(["--out", str(tmp_path / "out"), "--architectures", str(architectures), *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Clock:
    """Time that passes by what is measured."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class FakeTable:
    """Takes the given seconds for each architecture."""

    def __init__(self, clock, seconds):
        self.path, self.rows = Path("fake.jsonl"), []
        self._clock, self._seconds = clock, seconds

    def lacks(self, arch):
        return arch not in self.rows

    def measure(self, arch):
        self._clock.now += self._seconds[arch]
        self.rows.append(arch)
        return SimpleNamespace(latency_ms=1.0)


seconds_of = st.lists(st.floats(0.1, 3), min_size=4, max_size=4)


@given(st.lists(seconds_of, min_size=1, max_size=12), st.floats(0.5, 40))
def test_the_time_is_kept_evenly_by_all_tables_and_no_row_is_measured_twice(seconds_RT, end):
    clock = Clock()
    tables = [FakeTable(clock, [seconds_T[place] for seconds_T in seconds_RT]) for place in range(4)]
    rounds = [sum(seconds_T) for seconds_T in seconds_RT]
    complete = MODULE.measure_together(tables, range(len(rounds)), end=end, clock=clock)
    measured = tables[0].rows
    assert all(table.rows == measured for table in tables)
    assert measured == list(range(len(measured))) and complete == (len(measured) == len(rounds))
    slowest_before = max(rounds[: len(measured) - 1], default=0.0)
    assert clock.now <= end + max(0.0, rounds[len(measured) - 1] - slowest_before) + 1e-9  # a guess may be too low
    if not complete:
        assert clock.now + max(rounds[: len(measured)]) > end
    assert MODULE.measure_together(tables, range(len(rounds)), end=float("inf"), clock=clock)
    assert all(Counter(table.rows) == Counter(range(len(rounds))) for table in tables)


@pytest.mark.slow
def test_the_architectures_are_those_that_are_made_from_the_space():
    maker = script("make_architectures")
    assert maker.FILE.read_text(encoding="utf-8") == maker.architectures_json()


def test_the_architectures_are_different_ones_of_the_space_spread_over_its_depths():
    pytest.importorskip("yaml")
    space, sample = read_space(find_space("multi30k")), MODULE.read_sample(MODULE.ARCHITECTURES)
    archs = sample.architectures
    assert (sample.space_digest, len(set(archs)), sample.vocab_size) == (space.digest, 150, 4000)
    assert archs[0] == space.largest() and sample.reference == space.smallest()
    assert all(isinstance(arch, Architecture) and arch in space for arch in archs)
    depths = Counter(len(arch.decoder.layers) for arch in archs[2:])
    assert max(depths.values()) - min(depths.values()) <= 1 and set(depths) == {1, 2, 3, 4}
