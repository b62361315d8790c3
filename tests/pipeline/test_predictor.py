"""`automoe predictor`: of a table alone, beside another device, and what it warns of. Through the command line."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from automoe.cli import main
from automoe.errors import AutoMoEError, ConfigError
from automoe.latency import read_table
from automoe.latency.hat_table import COLUMNS
from automoe.pipeline.config import RunConfig
from automoe.pipeline.learnable import Learnable, _rows
from automoe.pipeline.predictor import _beyond_measured, _missing_extremes
from automoe.pipeline.predictor_fit import curve_sizes, learn
from automoe.pipeline.results import COMMANDS
from automoe.pipeline.run import run
from automoe.predictor import PredictorConfig, make_predictor
from automoe.predictor.calibrated import FORMAT
from automoe.space import find_space, read_space
from tests.conftest import TINY_TABLE

pytest.importorskip("hydra")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

FOLDS = "predictor.folds=3"


def published(path, rows=24, scale=1.0, seed=0):
    """A table as HAT publishes them: milliseconds that follow depth and width, with a little noise."""
    rng = np.random.default_rng(seed)
    lines = [",".join(COLUMNS)]
    for _ in range(rows):
        depth, dim, width = rng.integers(1, 7), rng.choice([512, 640]), rng.integers(1024, 3073)
        decoder = scale * (20 + 30 * depth + 0.004 * depth * width) * rng.normal(1, 0.01)
        sizes = [dim, 6, width, 8, dim, depth, width, 8, 8, 2]
        lines.append(",".join(map(str, [*sizes, 9 * scale, decoder, 0.1, 0.5])))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def automoe(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty folder, as the command line does: its status, and what it printed and warned of."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def learnt(tmp_path, monkeypatch, capsys):
    """Learns from a table as `automoe predictor` does, without the command line: what is found, and was warned of."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(table, name="mine", **settings):
        config = PredictorConfig(table=str(table), **{"kind": "ridge", "folds": 3, **settings})
        run("predictor", RunConfig(run=name, predictor=config), as_json=True)
        printed, said = capsys.readouterr()
        return json.loads(printed), said

    return call


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return published(tmp_path_factory.mktemp("published") / "gpu.csv")


def test_a_published_table_is_reported_on_in_an_empty_folder_and_but_once(automoe, table, tmp_path):
    status, printed, _ = automoe("predictor", f"predictor.table={table}", FOLDS)
    assert status == 0
    assert "learnt from 24 rows of gpu" in printed and "MAPE by rows learnt from:" in printed
    for heading in ("RMSE", "MAPE", "Spearman", "Kendall", "at equal decoder depth", "in the 90 % interval"):
        assert heading in printed
    result = tmp_path / "here/runs/quickstart/predictor/current"
    assert {path.name for path in result.iterdir()} == {
        *("predictor.json", "fit.json", "manifest.json"),
        *("predictor.svg", "errors.svg", "learning.svg"),
    }
    copy = shutil.copy(table, tmp_path / "other.csv")
    status, again, said = automoe("predictor", f"predictor.table={copy}", FOLDS)
    assert "finished earlier" in said and again == printed


def test_another_table_is_another_result(learnt, table, tmp_path):
    one, _ = learnt(table)
    other, _ = learnt(published(tmp_path / "cpu.csv", seed=1))
    assert one["folder"] != other["folder"] and one["reports"] != other["reports"]


@pytest.mark.parametrize("command", ["run", "data", "search", "worker", "report"])
def test_what_searches_refuses_a_table_of_no_space(table, tmp_path, command):
    config = RunConfig(runs_dir=str(tmp_path / "runs"), predictor=PredictorConfig(table=str(table)))
    with pytest.raises(ConfigError, match=rf"not for `automoe {command}`.*profile\.table=FILE"):
        run(command, config)
    assert not (tmp_path / "runs").exists()


def test_drawings_are_files_that_need_no_other_and_follow_light_and_dark(learnt, table):
    made, _ = learnt(table)
    assert made["figures"] == ["errors.svg", "learning.svg", "predictor.svg"]
    for name in made["figures"]:
        text = (Path(made["folder"]) / name).read_text()
        assert text.startswith('<svg viewBox="0 0 400 ') and "prefers-color-scheme: dark" in text
        assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "<title>" in text and ElementTree.fromstring(text).tag.endswith("svg")


def test_few_rows_beside_another_device_beat_the_same_rows_alone(learnt, table, tmp_path):
    few = published(tmp_path / "cpu.csv", rows=12, scale=4.0, seed=5)
    learnt(table, name="gpu")
    alone, _ = learnt(few)
    of_folder, of_file, of_table = (
        learnt(few, kind="transfer", base=str(base))[0]
        for base in ("runs/gpu", "runs/gpu/predictor/current/predictor.json", table)
    )
    assert of_folder["folder"] == of_file["folder"] != of_table["folder"]
    assert alone["base"] is None and of_folder["base"] == "ridge"
    for made in (of_folder, of_table):
        assert made["reports"]["transfer"]["mape"] < alone["reports"]["ridge"]["mape"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "transfer"}, r"predictor\.kind=transfer: learns a device from what is known of another"),
        ({"base": "nowhere.json"}, r"nowhere\.json: predictor\.base: there is no such file"),
        ({"base": "."}, r"predictor\.base: holds no finished predictor"),
        ({"base": "other.json"}, r"other\.json: format=None: is no predictor of this version of AutoMoE"),
        ({"base": "torn.json"}, r"torn\.json: predictor\.base: is damaged"),
        ({"base": "part.json"}, r"part\.json: predictor\.base: is no predictor .*KeyError"),
        ({"base": "other.json", "kind": "depth_lookup"}, "is of no use to the predictor 'depth_lookup'"),
        ({"kind": "rigde"}, "Did you mean 'ridge'"),
    ],
)
def test_a_wrong_kind_or_base_is_refused_and_leaves_no_result(learnt, table, settings, message):
    Path("other.json").write_text('{"kind": "ridge", "weights": [1, 2]}')
    Path("torn.json").write_text('{"kind": ')
    Path("part.json").write_text(json.dumps({"format": FORMAT}))
    with pytest.raises(AutoMoEError, match=message):
        learnt(table, **{"kind": "auto", **settings})
    assert not list(Path("runs").rglob("fit.json"))


def test_a_base_that_learnt_what_a_published_table_does_not_tell_is_named_with_its_key(learnt, table, tmp_path):
    predictor, _ = learn(Learnable.of(read_table(TINY_TABLE)), PredictorConfig(kind="ridge", folds=3), 1)
    Path("ours.json").write_text(json.dumps(predictor.to_dict()))
    with pytest.raises(AutoMoEError, match=r"predictor\.base: .*learnt from sums\..* Name a base that learnt"):
        learnt(table, kind="transfer", base="ours.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:2], "bad.csv"),
        (lambda lines: [*lines[:2], lines[2].rsplit(",", 3)[0] + ",nan,0.1,0.5", *lines[3:]], "bad.csv:3"),
        (lambda lines: [line.split(",", 1)[1] for line in lines], "encoder_embed_dim"),
        (lambda lines: [*lines, lines[1]], "bad.csv:26"),
    ],
    ids=["one architecture", "NaN", "a missing column", "a row twice"],
)
def test_a_bad_table_is_refused_with_its_file_and_line(automoe, table, tmp_path, change, message):
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(change(table.read_text().splitlines())) + "\n")
    status, printed, said = automoe("predictor", f"predictor.table={bad}")
    assert status == 2 and printed == ""
    assert message in said and "Traceback" not in said


def test_too_few_rows_for_the_coverage_are_warned_of_whenever_the_result_is_shown(learnt, tmp_path):
    few = published(tmp_path / "few.csv", rows=6)
    (_, first), (made, again) = learnt(few), learnt(few)
    assert "finished earlier" in again
    (warning,) = made["warnings"]
    assert "6 rows cannot promise intervals that hold 90 % of the architectures: it takes 9" in warning
    assert warning in first and warning in COMMANDS["predictor"][1](made)


def test_a_slow_stretch_is_warned_of_with_its_rows(tmp_path):
    slow = published(tmp_path / "slow.csv", rows=120)
    lines = slow.read_text().splitlines()
    for row in range(41, 61):
        cells = lines[row].split(",")
        cells[11] = str(1.4 * float(cells[11]))
        lines[row] = ",".join(cells)
    slow.write_text("\n".join(lines) + "\n")
    (flaw,) = Learnable.read(slow).flaws
    assert re.match(r"rows 41 to 60 of 120 took 1\.3\d times as long .* slower meanwhile", flaw)


def test_a_regressor_that_the_lookup_beats_is_warned_of(tmp_path):
    rng = np.random.default_rng(3)
    lines = published(tmp_path / "depth.csv", rows=40).read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    for cells in rows:  # depth decides alone, and in no straight line
        cells[11] = str({1: 90, 2: 40, 3: 200, 4: 60, 5: 150, 6: 30}[int(cells[5])] * rng.normal(1, 0.01))
    (tmp_path / "depth.csv").write_text("\n".join([lines[0], *map(",".join, rows)]) + "\n")
    table = Learnable.read(tmp_path / "depth.csv")
    _, fit = learn(table, PredictorConfig(kind="ridge", folds=3), seed=1)
    assert "the lookup by decoder depth predicts this table better than ridge" in fit["warnings"][-1]


def test_a_recorded_table_without_an_end_of_the_space_is_warned_of():
    space, table = read_space(find_space("tiny")), read_table(TINY_TABLE)
    assert _missing_extremes(space, table) == []
    digests = {space.largest().digest: "largest", space.smallest().digest: "smallest"}
    for digest, name in digests.items():
        rows = tuple(row for row in table.rows if row.digest != digest)
        (warning,) = _missing_extremes(space, replace(table, rows=rows))
        assert f"the table lacks the {name} architecture of the space ({digest})" in warning


def test_much_of_the_space_beyond_what_was_measured_is_warned_of():
    space, table = read_space(find_space("tiny")), read_table(TINY_TABLE)

    def warnings(archs, values):
        predictor = make_predictor("ridge", folds=3)
        predictor.fit(archs, values)
        return _beyond_measured(space, predictor, seed=1)

    assert warnings(table.architectures, table.latency_ms_N) == []
    shallow = [row for row in table.rows if len(row.arch.decoder.layers) == 1]
    (warning,) = warnings([row.arch for row in shallow], [row.latency_ms for row in shallow])
    assert "of the space lie beyond what was measured" in warning and "decoder" in warning


def test_drifted_rows_of_our_own_tables_are_named():
    table = read_table(TINY_TABLE)
    drifted = [number for number, row in enumerate(table.rows, start=1) if row.drifted]
    flaws = Learnable.of(table).flaws
    assert any(_rows(drifted) in flaw for flaw in flaws) == bool(drifted)
    assert _rows([4]) == "row 4" and _rows([1, 2, 3, 7, 9, 10]) == "rows 1 to 3, 7, 9 to 10"


def test_the_learning_curve_leaves_a_fifth_of_the_rows_to_be_predicted():
    assert curve_sizes(12) == []
    for count in range(15, 2200, 7):
        sizes = curve_sizes(count)
        assert sizes == sorted(set(sizes)) and sizes[0] == 12
        assert sizes[-1] <= min(0.8 * count, 400) < 1.3 * sizes[-1] + 1
