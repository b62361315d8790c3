"""A run that is killed at any moment, and again, ends with the same bits as one that is not."""

import signal
import subprocess
from pathlib import Path

import pytest

from automoe.pipeline.run import SEARCH_STAGES
from tests.pipeline.finished import finish, results

KILLER = Path(__file__).parent / "killer"

# One after the other, in one run folder: the file event before which the run is killed (see killer/sitecustomize.py).
MOMENTS = {
    "data: the segmenter is not written": "write 1 data/.*/segmenter.model",
    "data: half of the ids are written": "write 1 data/.*/ids/valid.src.npy",
    "data: all is written": "rename 1 data/[0-9a-f]+.partial$",
    "supernet: before the first checkpoint": "write 1 supernet/.*/training.jsonl$",
    "supernet: a checkpoint is written, but not in its place": "rename 1 supernet/.*checkpoint_00000010.pt.partial$",
    "supernet: ten updates after a checkpoint": "write 2 supernet/.*/training.jsonl$",
    "supernet: the last checkpoint is there, the model is not": "rename 1 supernet/.*model.json.partial$",
    "profile: the table is not written": "write 1 profile/.*/table.jsonl",
    "profile: the table is written, but not in its place": "rename 1 profile/.*/table.jsonl.partial$",
    "profile: all is written": "rename 1 profile/[0-9a-f]+.partial$",
    "predictor: nothing is written": "write 1 predictor/.*/predictor.json",
    "predictor: the bounds are not written": "write 1 predictor/.*/bounds.json",
    "predictor: all is written": "rename 1 predictor/[0-9a-f]+.partial$",
    # A generation of 8 is written together, on a slow machine in parts: three of them are two writes at least.
    "search: no record is written": "write 1 search/.*/archive.jsonl$",
    "search: the first records are written": "write 2 search/.*/archive.jsonl$",
    "search: all is written": "rename 1 search/[0-9a-f]+.partial$",
    "select: the search went on below the budget, but nothing of it is written": "write 1 select/.*/archive.jsonl$",
    "select: the choice is not written": "write 1 select/.*/selection.json",
    "select: all is written": "rename 1 select/[0-9a-f]+.partial$",
    "teacher: nothing is written": "write 1 teacher/.*/teacher.json",
    "teacher: all is written, but not in its place": "rename 1 teacher/.*/teacher.json.partial$",
    "teacher: all is written": "rename 1 teacher/[0-9a-f]+.partial$",
    "distill: the inherited weights are half written": "rename 1 distill/.*/inherited/model.json.partial$",
    "distill: before the first checkpoint": "write 1 distill/.*/training.jsonl$",
    "distill: ten updates after the inherited weights": "write 2 distill/.*/training.jsonl$",
    "distill: ten updates after a checkpoint": "write 2 distill/.*/training.jsonl$",
    "export: half of the bundle is written": "write 1 export/.*/bundle.partial/segmenter.model",
    "export: the bundle is written, but not in its place": "rename 1 export/.*/bundle.partial$",
    "export: the bundle is not measured": "write 2 export/.*/measured.json",
    "export: the bundle is measured, but its card does not say it": "rename 1 export/.*/bundle.partial$",
    "export: all is written": "rename 1 export/[0-9a-f]+.partial$",
    "evaluate: the largest is not translated": "write 1 evaluate/.*/hypotheses.largest.txt",
    "evaluate: the scores are not written": "write 1 evaluate/.*/scores.json",
    "evaluate: all is written": "rename 1 evaluate/[0-9a-f]+.partial$",
    "report: the page is not written": "write 1 report/.*/report.html",
    "report: the page is written, but not in its place": "rename 1 report/.*/report.html.partial$",
    "report: all is written": "rename 1 report/[0-9a-f]+.partial$",
}

ONCE = (
    "data: half of the ids are written",
    "supernet: ten updates after a checkpoint",
    "profile: the table is written, but not in its place",
    "predictor: the bounds are not written",
    "search: the first records are written",
    "select: the search went on below the budget, but nothing of it is written",
    "teacher: nothing is written",
    "distill: ten updates after the inherited weights",
    "distill: ten updates after a checkpoint",
    "export: the bundle is not measured",
    "evaluate: the scores are not written",
    "report: the page is not written",
)
"""One moment of each stage; the second of distill comes only after the first."""


@pytest.mark.parametrize(
    "moments",
    [pytest.param(ONCE, id="once"), pytest.param(tuple(MOMENTS), id="three times", marks=pytest.mark.slow)],
)
def test_killed_in_each_stage_then_again_gives_the_same_bits(moments, tiny_run, tmp_path):
    command, folder = tiny_run.command("run", runs_dir=tmp_path), tmp_path / tiny_run.run_dir.name
    checkpoints = {}
    for name in moments:
        env = tiny_run.env | {"KILL_AT": MOMENTS[name], "PYTHONPATH": str(KILLER)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, f"{name}: {done.stderr}"
        assert not (folder / "report" / "current").exists()
        stage, _, moment = name.partition(": ")
        if moment == "ten updates after a checkpoint":
            (checkpoint,) = folder.glob(f"{stage}/*.partial/checkpoints/checkpoint_00000010.pt")
            checkpoints[stage] = checkpoint.stat().st_mtime_ns
    finish(command, tiny_run)
    assert results(folder) == results(tiny_run.run_dir)
    assert set(checkpoints) == {"supernet", "distill"}
    # The trainings went on from their first checkpoint: starting anew would have given the same bits.
    for stage, written in checkpoints.items():
        kept = folder / stage / "current" / "checkpoints" / "checkpoint_00000010.pt"
        assert kept.stat().st_mtime_ns == written


@pytest.mark.parametrize(("moments", "least"), [(ONCE, 1), (MOMENTS, 3)])
def test_every_stage_is_killed_at_so_many_moments(moments, least):
    stages = [name.partition(":")[0] for name in moments]
    assert all(stages.count(stage.name) >= least for stage in SEARCH_STAGES)
