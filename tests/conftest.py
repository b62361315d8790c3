"""What all tests share: one thread, so that results do not depend on the machine's number of cores, and one run."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

FIXTURES = Path(__file__).parent / "fixtures"
CORPUS = FIXTURES / "corpus"
TINY_TABLE = FIXTURES / "tiny_table.jsonl"
"""Measured latencies of the space `tiny`: with a recorded table a run is the same bits whenever it is made."""
TINY_SIZES = (
    *("data.vocabulary.size=200", "data.vocabulary.kind=bpe", "space=tiny"),
    *("training.threads=1", "training.max_updates=20", "training.validate_every=10", "training.max_tokens=512"),
    *("profile.architectures=12", "profile.sentences=3", "profile.repeats=3", "predictor.folds=4"),
    *("search.evaluations=24", "search.options.population=8", "search.options.parents=4"),
    *("select.near=30", "select.extra_evaluations=4"),
    *("distill.training.max_updates=20", "distill.training.validate_every=10", "distill.training.max_tokens=512"),
    "distill.training.threads=1",
    "budget.latency_ms.max_ratio=0.8",
    *("scratch.architectures=4", "scratch.at_one_depth=2", "scratch.seeds=[3]", "scratch.training.max_updates=4"),
    *("scratch.training.validate_every=2", "scratch.training.max_tokens=512", "fidelity.resamples=100"),
)
"""Settings with which every stage takes seconds. In the space `tiny` the smallest model takes 0.65 of the largest's
time."""


@dataclass(frozen=True, kw_only=True)
class TinyRun:
    """A finished run of all stages at the smallest size. Copy it before changing anything in it."""

    run_dir: Path
    bundle: Path
    overrides: tuple[str, ...]
    """All settings, `run` and `runs_dir` too: with them every stage is finished already."""
    env: dict[str, str]
    """Environment of a process that shall make the same again."""

    def command(self, stage: str, *overrides: str, runs_dir: Path | None = None) -> list[str]:
        """The program and its arguments, for the run itself or a copy of it in another folder of runs."""
        return [sys.executable, "-m", "automoe.cli", *self.arguments(stage, *overrides, runs_dir=runs_dir)]

    def arguments(self, stage: str, *overrides: str, runs_dir: Path | None = None) -> list[str]:
        """The arguments alone, for `automoe.cli.main`."""
        place = [] if runs_dir is None else [f"runs_dir={runs_dir}"]
        return [stage, *self.overrides, *place, *overrides]


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> TinyRun:
    """Corpus to scores by `automoe run` in a process of its own, once for all tests."""
    for package in ("fairseq", "hydra", "sacrebleu", "sklearn", "jinja2", "matplotlib", "onnx", "onnxruntime"):
        pytest.importorskip(package)
    files = [
        f"data.{split}_{side}={CORPUS / split}.{language}"
        for split in ("train", "valid", "test")
        for side, language in (("source", "en"), ("target", "de"))
    ]
    runs_dir = tmp_path_factory.mktemp("tiny_run") / "runs"
    run = TinyRun(
        run_dir=runs_dir / "tiny",
        bundle=Path(),
        overrides=(
            "data=text",
            *files,
            *TINY_SIZES,
            f"profile.table={TINY_TABLE}",
            f"runs_dir={runs_dir}",
            "run=tiny",
        ),
        env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    done = subprocess.run(run.command("run"), env=run.env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    export = run.run_dir / "export"
    bundle = export / (export / "current").readlink() / "bundle"
    return TinyRun(run_dir=run.run_dir, bundle=bundle, overrides=run.overrides, env=run.env)
