"""The whole pipeline through the command line, at the smallest size (`tiny_run` in conftest.py)."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from automoe.data import PreparedData
from automoe.decoding import SearchConfig, search
from automoe.nn import TorchStepper
from automoe.nn.model_folder import read_model
from automoe.pipeline.run import SEARCH_STAGES
from automoe.pipeline.select import chosen_architecture
from automoe.runtime import load
from automoe.search import Estimate, ResolvedLimit
from automoe.space import Architecture, find_architecture, read_architecture
from automoe.supernet import supernet_placement
from tests.pipeline.finished import finish, results

PROGRAM = str(Path(sys.executable).with_name("automoe"))


def test_second_run_makes_nothing_anew(tiny_run):
    before = {path: path.stat().st_mtime_ns for path in tiny_run.run_dir.rglob("*/*/*") if path.is_file()}
    finish(tiny_run.command("run"), tiny_run)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def made_by(run_dir: Path) -> dict[str, set[str]]:
    return {stage.name: {path.name for path in (run_dir / stage.name).iterdir()} for stage in SEARCH_STAGES}


@pytest.mark.parametrize(
    ("override", "redone"),
    [
        ("budget.latency_ms=1000", ("select", "distill", "export", "evaluate", "report")),
        ("decoding.length_penalty=0.5", ("export", "evaluate", "report")),
        ("export.precisions=[float32]", ("export", "evaluate", "report")),
    ],
)
def test_a_changed_setting_redoes_only_what_depends_on_it_and_loses_nothing(tiny_run, tmp_path, override, redone):
    folder = tmp_path / tiny_run.run_dir.name
    shutil.copytree(tiny_run.run_dir, folder, symlinks=True)
    before = made_by(folder)
    finish(tiny_run.command("run", override, runs_dir=tmp_path), tiny_run)
    new = {stage: len(names - before[stage]) for stage, names in made_by(folder).items()}
    assert new == {stage: int(stage in redone) for stage in new}
    finish(tiny_run.command("run", runs_dir=tmp_path), tiny_run)  # back to the first
    assert results(folder) == results(tiny_run.run_dir)


def test_translate_gives_what_the_evaluation_saw(tiny_run, tmp_path):
    (tmp_path / "test.en").write_bytes((tiny_run.run_dir / "data/current/text/test.src").read_bytes())
    printed = finish([PROGRAM, "translate", tiny_run.bundle, tmp_path / "test.en"], tiny_run)
    assert printed == (tiny_run.run_dir / "evaluate/current/hypotheses.model.txt").read_text()


def test_bundle_translates_token_for_token_as_the_trained_weights_do(tiny_run):
    prepared = PreparedData.open(tiny_run.run_dir / "data" / "current")
    trained = TorchStepper(read_model(tiny_run.run_dir / "distill" / "current"))
    translations = load(tiny_run.bundle).translate_nbest(prepared.text("test", "src"), batch=1)
    for source, found in zip(prepared.ids("test", "src"), translations, strict=True):
        expected = search(trained, [source], SearchConfig())[0]
        assert [hypothesis.tokens.tolist() for hypothesis in expected] == [list(t.tokens) for t in found]


def test_inherited_weights_translate_as_the_slice_of_the_supernet_does(tiny_run):
    prepared = PreparedData.open(tiny_run.run_dir / "data" / "current")
    arch = chosen_architecture(tiny_run.run_dir / "select" / "current")
    supernet = read_model(tiny_run.run_dir / "supernet" / "current")
    sliced = TorchStepper(supernet, arch, supernet_placement(arch))
    extracted = TorchStepper(read_model(tiny_run.run_dir / "distill" / "current" / "inherited"))
    for source in prepared.ids("test", "src"):
        expected, found = (search(stepper, [source], SearchConfig())[0] for stepper in (sliced, extracted))
        assert [h.tokens.tolist() for h in found] == [h.tokens.tolist() for h in expected]


def test_scores_have_signatures_and_loads_of_every_expert(tiny_run):
    scores = json.loads((tiny_run.run_dir / "evaluate/current/scores.json").read_text())
    for scored in scores["systems"].values():
        assert all("version:" in scored[metric]["signature"] for metric in ("BLEU", "chrF"))
    sizes = json.loads((tiny_run.bundle / "bundle.json").read_text())["architecture"]
    for side in ("encoder", "decoder"):
        for index, layer in enumerate(sizes[side]["layers"]):
            if len(layer["expert_widths"]) > 1:
                loads = scores["systems"]["model"]["expert_loads"][f"{side} {index}"]
                assert len(loads) == len(layer["expert_widths"])


def test_largest_model_of_the_tiny_space_has_experts_on_both_sides(tiny_run):
    scores = json.loads((tiny_run.run_dir / "evaluate/current/scores.json").read_text())
    layers = scores["systems"]["largest"]["expert_loads"]
    assert {name.split()[0] for name in layers} == {"encoder", "decoder"}


def test_bundle_holds_the_parameters_of_its_architecture_and_no_others(tiny_run):
    costs = json.loads((tiny_run.bundle / "bundle.json").read_text())["info"]["costs"]
    content = (tiny_run.bundle / "model.safetensors").read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")  # names and offsets
    assert len(content) - header == costs["memory_bytes"]


def test_chosen_model_keeps_the_budget_by_what_the_archive_knows(tiny_run):
    selection = json.loads((tiny_run.run_dir / "select/current/selection.json").read_bytes())
    (limit,) = selection["budget"]
    estimate = Estimate(*selection["costs"]["latency_ms"])
    known = selection["digest"] in selection["measured"]
    bound = ResolvedLimit(cost="latency_ms", max=limit["max"], quantile=limit["quantile"]).upper(estimate)
    assert (estimate.upper if known else bound) <= limit["max"]


def test_run_of_one_architecture_trains_exports_and_scores_it(tiny_run, tmp_path):
    printed = finish(tiny_run.command("run", "architecture=tiny", "--json", runs_dir=tmp_path), tiny_run)
    made = json.loads(printed)
    assert set(made["systems"]) == {"model", "model_int8", "model_shortlist", "copy_the_source"}
    bundle = json.loads((Path(made["bundle"]) / "bundle.json").read_text())
    assert Architecture.from_dict(bundle["architecture"]) == read_architecture(find_architecture("tiny"))
    assert {path.name for path in (tmp_path / "tiny").iterdir() if path.is_dir()} == {
        "data",
        "supernet",
        "export",
        "evaluate",
    }


def test_supernet_that_was_trained_elsewhere_is_taken_over_bit_for_bit(tiny_run, tmp_path):
    trained = tiny_run.run_dir / "supernet" / "current"
    finish(tiny_run.command("supernet", f"supernet.weights={trained}", runs_dir=tmp_path), tiny_run)
    taken = tmp_path / "tiny" / "supernet" / "current"
    assert (taken / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert not (taken / "checkpoints").exists()


@pytest.mark.slow
def test_wheel_alone_translates_token_for_token(tiny_run, tmp_path):
    """In an empty environment outside the checkout, with `[torch]` and no fairseq."""
    root = Path(__file__).parents[2]
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, root], check=True)
    wheel = next(tmp_path.glob("automoe-*.whl"))
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    constraints = ["--constraint", root / "constraints.txt"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *constraints, f"{wheel}[torch]"], check=True)
    sources = tiny_run.run_dir / "data/current/text/test.src"
    command = [tmp_path / "venv" / "bin" / "automoe", "translate", tiny_run.bundle, sources]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert printed == (tiny_run.run_dir / "evaluate/current/hypotheses.model.txt").read_text()
    assert subprocess.run([python, "-c", "import fairseq"], cwd=tmp_path, capture_output=True).returncode != 0
