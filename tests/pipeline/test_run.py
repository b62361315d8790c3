"""The whole pipeline through the command line, at the smallest size (`tiny_run` in conftest.py)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = str(Path(sys.executable).with_name("automoe"))

# When a run is killed: what has just appeared in its folder.
MOMENTS = {
    "data is being written": "data/*.partial/text/*",
    "training starts": "supernet/*.partial/training.log",
    "a checkpoint is being written": "supernet/*.partial/checkpoints/*.partial",
    "training is half done": "supernet/*.partial/checkpoints/checkpoint_*.pt",
    "export begins": "export/*.partial",
}


def finish(command: list[str], run) -> str:
    done = subprocess.run([*map(str, command)], env=run.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kill_when(pattern: str, process: subprocess.Popen, folder: Path) -> None:
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.0005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


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
    for pattern in MOMENTS.values():
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=tiny_run.env, stdout=pipe, stderr=pipe, text=True)
        kill_when(pattern, process, folder)
        assert not (folder / "evaluate" / "current").exists()
    finish(command, tiny_run)
    assert results(folder) == results(tiny_run.run_dir)


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
