"""The whole pipeline through the command line, at the smallest size (`tiny_run` in conftest.py)."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from automoe.data import PreparedData
from automoe.decoding import SearchConfig, search
from automoe.nn import TorchStepper
from automoe.nn.model_folder import read_model
from automoe.runtime import load

PROGRAM = str(Path(sys.executable).with_name("automoe"))
KILLER = Path(__file__).parent / "killer"

# One after the other, in one run folder: the file event before which the run is killed (see killer/sitecustomize.py).
MOMENTS = {
    "data: half of the ids are written": "write 1 data/.*/ids/valid.src.npy",
    "data: all is written": "rename 1 data/[0-9a-f]+.partial$",
    "training: before the first checkpoint": "write 1 training.jsonl$",
    "training: a checkpoint is written, but not in its place": "rename 1 checkpoint_00000010.pt.partial$",
    "training: ten updates after a checkpoint": "write 2 training.jsonl$",
    "training: the last checkpoint is there, the model is not": "rename 1 model.json.partial$",
    "export: half of the bundle is written": "write 1 bundle.partial/segmenter.model",
    "export: the bundle is written, but not in its place": "rename 1 bundle.partial$",
    "evaluation: all is written": "rename 1 evaluate/[0-9a-f]+.partial$",
}


def finish(command: list[str], run) -> str:
    done = subprocess.run([*map(str, command)], env=run.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def results(run_dir: Path) -> dict[str, bytes]:
    """What a run made, times and fairseq's own files aside."""
    names = (
        "data/current/segmenter.model",
        "data/current/data.json",
        "supernet/current/model.safetensors",
        "supernet/current/training.jsonl",
        "export/current/bundle/model.safetensors",
        "export/current/bundle/bundle.json",
        "evaluate/current/scores.json",
        "evaluate/current/hypotheses.txt",
    )
    return {name: (run_dir / name).read_bytes() for name in names}


def test_killed_at_any_moment_then_again_gives_the_same_bits(tiny_run, tmp_path):
    command, folder = tiny_run.command("run", runs_dir=tmp_path), tmp_path / tiny_run.run_dir.name
    first_checkpoint = None
    for name, event in MOMENTS.items():
        env = tiny_run.env | {"KILL_AT": event, "PYTHONPATH": str(KILLER)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, f"{name}: {done.stderr}"
        assert not (folder / "evaluate" / "current").exists()
        if name.startswith("training: ten updates"):
            (first_checkpoint,) = folder.glob("supernet/*.partial/checkpoints/checkpoint_00000010.pt")
            written = first_checkpoint.stat().st_mtime_ns
    finish(command, tiny_run)
    assert results(folder) == results(tiny_run.run_dir)
    # The training went on from its first checkpoint: starting anew would have given the same bits.
    kept = folder / "supernet" / "current" / "checkpoints" / first_checkpoint.name
    assert kept.stat().st_mtime_ns == written


def test_second_run_makes_nothing_anew(tiny_run):
    before = {path: path.stat().st_mtime_ns for path in tiny_run.run_dir.rglob("*/*/*") if path.is_file()}
    finish(tiny_run.command("run"), tiny_run)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_changed_decoding_redoes_export_and_evaluation_only_and_loses_nothing(tiny_run, tmp_path):
    folder = tmp_path / tiny_run.run_dir.name
    shutil.copytree(tiny_run.run_dir, folder, symlinks=True)

    def made() -> dict[str, set[str]]:
        stages = ("data", "supernet", "export", "evaluate")
        return {stage: {path.name for path in (folder / stage).iterdir()} for stage in stages}

    before = made()
    finish(tiny_run.command("run", "decoding.beam=1", runs_dir=tmp_path), tiny_run)
    new = {stage: len(names - before[stage]) for stage, names in made().items()}
    assert new == {"data": 0, "supernet": 0, "export": 1, "evaluate": 1}
    finish(tiny_run.command("run", runs_dir=tmp_path), tiny_run)  # back to the first
    assert results(folder) == results(tiny_run.run_dir)


def test_translate_gives_what_the_evaluation_saw(tiny_run, tmp_path):
    (tmp_path / "test.en").write_bytes((tiny_run.run_dir / "data/current/text/test.src").read_bytes())
    printed = finish([PROGRAM, "translate", tiny_run.bundle, tmp_path / "test.en"], tiny_run)
    assert printed == (tiny_run.run_dir / "evaluate/current/hypotheses.txt").read_text()


def test_bundle_translates_token_for_token_as_the_trained_weights_do(tiny_run):
    prepared = PreparedData.open(tiny_run.run_dir / "data" / "current")
    trained = TorchStepper(read_model(tiny_run.run_dir / "supernet" / "current"))
    translations = load(tiny_run.bundle).translate_nbest(prepared.text("test", "src"), batch_size=1)
    for source, found in zip(prepared.ids("test", "src"), translations, strict=True):
        expected = search(trained, [source], SearchConfig())[0]
        assert [hypothesis.tokens.tolist() for hypothesis in expected] == [list(t.tokens) for t in found]


def test_scores_have_signatures_and_loads_of_every_expert(tiny_run):
    scores = json.loads((tiny_run.run_dir / "evaluate/current/scores.json").read_text())
    for system in ("model", "copy_the_source"):
        assert all("version:" in scores[system][metric]["signature"] for metric in ("BLEU", "chrF"))
    sizes = json.loads((tiny_run.bundle / "bundle.json").read_text())["architecture"]
    for side in ("encoder", "decoder"):
        for index, layer in enumerate(sizes[side]["layers"]):
            if len(layer["expert_widths"]) > 1:
                assert len(scores["expert_loads"][f"{side} {index}"]) == len(layer["expert_widths"])


def test_architecture_of_the_tiny_run_has_unequal_experts_on_both_sides(tiny_run):
    sizes = json.loads((tiny_run.bundle / "bundle.json").read_text())["architecture"]
    for side in ("encoder", "decoder"):
        assert any(len(set(layer["expert_widths"])) > 1 for layer in sizes[side]["layers"])


def test_bundle_weights_are_no_larger_than_the_parameters_and_five_percent(tiny_run):
    costs = json.loads((tiny_run.bundle / "bundle.json").read_text())["info"]["costs"]
    names_and_offsets = 110 * 60  # of a model as tiny as this one they are a fifth
    assert (tiny_run.bundle / "model.safetensors").stat().st_size <= costs["memory_bytes"] * 1.05 + names_and_offsets


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
    assert printed == (tiny_run.run_dir / "evaluate/current/hypotheses.txt").read_text()
    assert subprocess.run([python, "-c", "import fairseq"], cwd=tmp_path, capture_output=True).returncode != 0
