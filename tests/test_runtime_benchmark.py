"""The runtime's benchmarks run from end to end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("ctranslate2")
pytest.importorskip("fairseq")
pd = pytest.importorskip("pandas")

FOLDER = Path(__file__).parents[1] / "experiments" / "benchmarks" / "runtime"


@pytest.mark.slow
def test_all_engines_emit_the_same_tokens_and_are_compared(tmp_path):
    options = ["--models", "tiny", "--twins", "tiny", "--quick", "--work", tmp_path / "work", "--out", tmp_path]
    command = [sys.executable, FOLDER / "latency.py", *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr  # it fails if an engine emits other tokens
    assert "CTranslate2 finds the same 5 hypotheses" in done.stdout
    dense, experts = (pd.read_csv(tmp_path / f"latency-{name}.csv") for name in ("tiny", "experts"))
    ratios = dense[dense["unit"] == "x"].set_index("what")["median"]
    assert len(ratios) == 3 and (ratios > 0).all()
    counts = experts[experts["model"] == "tiny-6x"].set_index("what")["median"]
    assert 1 < counts["experts a step"] <= 5
    assert counts["share of steps with distinct beams"] == 1
