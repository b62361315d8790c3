"""The benchmarks of expert layers and of training run from end to end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("fairseq")
pytest.importorskip("pandas")

import pandas as pd
import torch

from tests.training.job import prepared_corpus

FOLDER = Path(__file__).parents[1] / "experiments" / "benchmarks" / "layers"


def made(script: str, out: Path, *options: object) -> dict[str, pd.DataFrame]:
    """The tables that a script writes, by name."""
    command = list(map(str, [sys.executable, FOLDER / script, *options, "--rounds", 2, "--out", out]))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return {path.stem: pd.read_csv(path) for path in out.glob("*.csv")}


@pytest.mark.skipif(not hasattr(torch.nn.functional, "grouped_mm"), reason="this PyTorch has no grouped_mm")
def test_all_dispatches_say_the_same_and_are_compared(tmp_path):
    tables = made("expert_layer.py", tmp_path, "--shrink", 16, "--seconds", 0)  # it fails if one says another thing
    assert set(tables) == {"dense", "nonzero", "grouped"}
    ratios = {name: table[table["unit"] == "x"] for name, table in tables.items()}
    assert {name: len(rows) for name, rows in ratios.items()} == {"dense": 4, "nonzero": 8, "grouped": 40}
    assert all((rows["median"] > 0).all() for rows in ratios.values())


@pytest.mark.slow
def test_a_supernet_is_trained_beside_fairseqs_model(tmp_path):
    data = prepared_corpus(tmp_path / "data")
    options = ["--data", data, "--space", "tiny", "--batches", 1, "--max-tokens", 256]
    rows = made("training_speed.py", tmp_path / "out", *options)["training_speed_tiny"].set_index("what")
    assert (rows["median"] > 0).all()
    assert {"largest dense / fairseq", "largest with experts / fairseq"} < set(rows.index)
