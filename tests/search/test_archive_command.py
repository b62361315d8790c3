import argparse
import csv
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from automoe import cli
from automoe.commands import archive as command
from automoe.errors import AutoMoEError, ConfigError, RunError, SpaceError
from automoe.files import write_json
from automoe.pipeline.manifest import FORMAT, MANIFEST, Identity, Manifest, Times, plain, sizes_of
from automoe.pipeline.run_folder import RunFolder
from automoe.pipeline.spaces import SpacePart
from automoe.search import ARCHIVE, Archive, read_archive
from tests.search.analytic import CODEC, SPACE, header, records_of, sampled

RECORDS = [replace(record, bleu=round(5 * record.loss, 2)) for record in records_of(sampled(20, 3))]
RECORDS[:2] = [replace(record, how="anchor") for record in RECORDS[:2]]


@pytest.fixture
def run(capsys):
    def call(*arguments: object) -> str:
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers())
        assert command.run(parser.parse_args(["archive", *map(str, arguments)])) == 0
        return capsys.readouterr().out

    return call


def written(path, records=RECORDS):
    path.parent.mkdir(parents=True)
    Archive.open(path, header()).add(*records)
    return path


@pytest.fixture
def file(tmp_path):
    """An archive that stands in no run."""
    return written(tmp_path / "alone" / ARCHIVE)


@pytest.fixture
def runs_dir(tmp_path):
    """A folder with one run, whose search is finished."""
    folder = RunFolder(tmp_path / "runs" / "mine")
    partial = folder.partial("search", "x")
    written(partial / ARCHIVE)
    config = {"space": plain(SpacePart(space=SPACE)), "search": {"objectives": ["bleu", "params_m"]}}
    identity = Identity(stage="search", stage_version=2, inputs={}, config=config, external={}, seed=1)
    times = Times(started="", wall_seconds=1.0, resumed=False)
    Manifest(identity=identity, files=sizes_of(partial), versions={}, machine={}, times=times).write(partial)
    write_json(folder.path / "run.json", {"format": FORMAT})
    partial.rename(folder.result("search", identity.hash))
    folder.set_current("search", identity.hash)
    return folder.path.parent


def test_it_says_how_many_each_origin_brought_the_front_and_the_hypervolume_of_each_quarter(run, file):
    shown = run(file, "--objectives", "loss,latency_ms").splitlines()
    archive = read_archive(file)
    front = [record.digest for record in archive.front(["latency_ms"])]
    assert f"20 architectures of the space tiny ({SPACE.digest})" in shown[0]
    assert shown[1] == "evaluated: 2 anchor, 18 sample"
    begin = shown.index(f"the front of loss, latency_ms: {len(front)}") + 2
    assert [line.split()[0] for line in shown[begin : begin + len(front)]] == front
    assert [line.split()[0] for line in shown[-4:]] == ["5", "10", "15", "20"]
    assert shown[-1].split()[-2:] == ["100.0", "%"]


def test_json_holds_the_same_numbers(run, file):
    found = json.loads(run(file, "--json", "--objectives", "bleu,flops_g"))
    archive = read_archive(file)
    assert found["evaluated"] == 20 and found["origins"] == {"anchor": 2, "sample": 18} and not found["torn"]
    assert found["front"] == [record.to_dict() for record in archive.front(["flops_g"], quality="bleu")]
    volume_N = archive.hypervolume(["bleu", "flops_g"])
    assert [step["hypervolume"] for step in found["hypervolume"]] == volume_N[[4, 9, 14, 19]].tolist()
    assert [step["share"] for step in found["hypervolume"]] == (volume_N[[4, 9, 14, 19]] / volume_N[-1]).tolist()


def test_of_a_run_it_shows_the_search_in_use_with_its_objectives(run, runs_dir):
    found = json.loads(run("mine", "--runs-dir", runs_dir, "--json"))
    assert found["objectives"] == ["bleu", "params_m"]
    assert found["file"].startswith(str(runs_dir / "mine" / "search")) and found["evaluated"] == 20


def test_of_a_run_that_searches_still_it_shows_what_is_there(run, tmp_path):
    folder = RunFolder(tmp_path / "runs" / "mine")
    written(folder.partial("search", "abc") / ARCHIVE, RECORDS[:3])
    write_json(folder.path / "run.json", {"format": FORMAT})
    assert json.loads(run("mine", "--runs-dir", tmp_path / "runs", "--json"))["evaluated"] == 3


@pytest.mark.parametrize("number", [0, 1])
def test_an_archive_that_has_hardly_begun_is_shown_without_a_share_of_nothing(run, tmp_path, number):
    path = written(tmp_path / "alone" / ARCHIVE, RECORDS[:number])
    assert f"{number} architectures of the space tiny" in run(path)
    steps = json.loads(run(path, "--json"))["hypervolume"]
    assert steps == [{"evaluated": 1, "hypervolume": 0.0, "share": None}][:number]


def test_a_torn_line_is_said_and_the_file_stays_as_it_is(run, file):
    file.write_bytes(content := file.read_bytes()[:-5])
    assert "line 21 was torn" in run(file) and json.loads(run(file, "--json"))["torn"]
    assert file.read_bytes() == content


def test_the_table_of_a_run_has_all_records_and_their_genes(run, runs_dir, tmp_path):
    run("mine", "--runs-dir", runs_dir, "--csv", tmp_path / "new" / "table.csv")
    with (tmp_path / "new" / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["digest"] for row in rows] == [record.digest for record in RECORDS]
    assert [float(row["bleu"]) for row in rows] == [record.bleu for record in RECORDS]
    genomes = [[int(row[name]) for name in CODEC.names] for row in rows]
    assert genomes == [CODEC.encode(record.arch).tolist() for record in RECORDS]
    front = read_archive(next(runs_dir.glob(f"mine/search/*/{ARCHIVE}"))).front(["params_m"], quality="bleu")
    assert {row["digest"] for row in rows if row["on_front"] == "True"} == {record.digest for record in front}


def test_a_table_without_genes_says_how_to_get_them(file, tmp_path, capsys):
    table = tmp_path / "table.csv"
    assert cli.main(["archive", str(file), "--csv", str(table)]) == 0
    assert "it has no genes" in capsys.readouterr().err and "heads" not in table.read_text()
    assert cli.main(["archive", str(file), "--csv", str(table), "--space", "tiny"]) == 0
    assert CODEC.names[3] in table.read_text().splitlines()[0]


@pytest.fixture
def mirrored(monkeypatch):
    """What the mirror into an Optuna storage is handed; it has tests of its own."""
    calls = []

    def mirror(archive, storage, **keywords):
        calls.append((len(archive), storage, keywords))
        return 7

    monkeypatch.setitem(sys.modules, "automoe.search.optuna_mirror", SimpleNamespace(mirror=mirror))
    return calls


def test_optuna_gets_the_records_with_space_objectives_and_the_run_s_name(runs_dir, mirrored, capsys):
    url = "postgresql://me:secret@host/studies"
    assert cli.main(["archive", "mine", "--runs-dir", str(runs_dir), "--optuna", url]) == 0
    ((number, storage, keywords),) = mirrored
    assert (number, storage) == (20, url)
    assert keywords == {"space": SPACE, "objectives": ("bleu", "params_m"), "study_name": "mine"}
    said = capsys.readouterr()
    assert "'mine': 7 records added, 13 were there" in said.err and "secret" not in said.err + said.out


def test_a_file_needs_a_space_for_optuna_and_is_named_after_it(run, file, mirrored):
    with pytest.raises(ConfigError, match="--optuna: needs the space"):
        run(file, "--optuna", "sqlite:///x.db")
    run(file, "--optuna", "sqlite:///x.db", "--space", "tiny")
    run(file, "--optuna", "sqlite:///x.db", "--space", "tiny", "--study", "other")
    assert [keywords["study_name"] for _, _, keywords in mirrored] == ["tiny", "other"]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            ["{file}", "--objectives", "loss,latencyms"],
            ConfigError,
            "--objectives=latencyms.* 'latency_ms'",
        ),
        (["{file}", "--objectives", ","], ConfigError, "--objectives.*names nothing"),
        (["{file}", "--study", "x"], ConfigError, "--study=x: .*Add --optuna"),
        (["{file}", "--csv", "{folder}/x.csv", "--space", "quickstart"], SpaceError, "belongs to the space 'tiny'"),
        (["{folder}/none.jsonl"], AutoMoEError, "none.jsonl: there is no archive"),
        (["nothing", "--runs-dir", "{folder}/runs"], RunError, "there is no such run.*Runs: empty"),
        (["empty", "--runs-dir", "{folder}/runs"], RunError, "has searched nothing.*automoe search run=empty"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(run, file, tmp_path, arguments, kind, message):
    write_json_in(tmp_path / "runs" / "empty")
    with pytest.raises(kind, match=message):
        run(*(text.format(file=file, folder=tmp_path) for text in arguments))
    assert not (tmp_path / "x.csv").exists()


def write_json_in(folder):
    folder.mkdir(parents=True)
    write_json(folder / "run.json", {"format": FORMAT})


@pytest.mark.parametrize("folder", [".", "search", "search/current"])
def test_a_folder_of_a_run_leads_to_its_archive(run, runs_dir, folder):
    place = runs_dir / "mine" / folder
    if folder == "search/current":
        assert run(place).startswith(str(place / ARCHIVE))
        return
    current = runs_dir / "mine" / "search" / "current"
    with pytest.raises(RunError, match=f"Did you mean {current}"):
        run(place)


def test_a_folder_without_an_archive_is_no_archive(run, tmp_path):
    with pytest.raises(RunError, match="Name a run, or an archive"):
        run(tmp_path)


def test_what_is_no_storage_is_named_by_the_option(runs_dir, capsys):
    pytest.importorskip("optuna")
    assert cli.main(["archive", "mine", "--runs-dir", str(runs_dir), "--optuna", "foo://x"]) == 2
    assert capsys.readouterr().err.startswith("automoe: error: --optuna=foo://x: is no URL of a storage")


def test_a_damaged_archive_is_refused_with_its_line(run, file):
    file.write_bytes(file.read_bytes().replace(b'"index":4', b'"index":5'))
    with pytest.raises(AutoMoEError, match=rf"{ARCHIVE}:6: the archive is damaged"):
        run(file)


def test_the_archive_of_a_real_run_is_shown(tiny_run, capsys):
    assert cli.main(["archive", "tiny", "--runs-dir", str(tiny_run.run_dir.parent), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    manifest = json.loads((tiny_run.run_dir / "search" / "current" / MANIFEST).read_text())
    assert found["evaluated"] == manifest["config"]["search"]["evaluations"]
    assert found["objectives"] == manifest["config"]["search"]["objectives"]
    assert found["hypervolume"][-1]["share"] == 1 and found["front"]
