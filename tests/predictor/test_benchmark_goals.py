"""What the latency benchmarks ask, and when they say that it is met."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks" / "latency"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.syspath_prepend(str(FOLDER.parent / "runtime"))
    yield __import__
    for name in ("noise", "accuracy", "common", "workers"):  # names that other tests may take
        sys.modules.pop(name, None)


def differences(corrected, uncorrected, p90=6.0):
    rows = [("corrected", corrected), ("uncorrected", uncorrected), ("the reference", uncorrected)]
    return [{"what": what, "architectures": 9, "median_percent": median, "p90_percent": p90} for what, median in rows]


def test_the_correction_meets_its_goals_and_must_halve_what_is_worth_it(script):
    noise = script("noise")
    first, *_, left = noise.with_goals(differences(2.0, 8.0), 5.0)
    assert (first["goal"], first["met"]) == ("median <= 5", "yes")
    assert (left["median_percent"], left["met"]) == (25.0, "yes")
    assert noise.with_goals(differences(5.0, 8.0), 5.0)[-1]["met"] == "no"
    assert "goal" not in noise.with_goals(differences(2.0, 2.9), 5.0)[-1]
    assert noise.with_goals(differences(2.0, 8.0, p90=9.0), 3.0, 8.0)[0]["met"] == "no"
    assert noise.with_goals(differences(2.0, 8.0, p90=7.0), 3.0, 8.0)[0]["met"] == "yes"


def test_tables_that_share_no_architecture_are_refused(script, monkeypatch, capsys, tmp_path):
    noise = script("noise")

    class Table:
        rows = ()

    monkeypatch.setattr(noise, "read_table", lambda path: Table())
    monkeypatch.setattr(sys, "argv", ["noise.py", "a.jsonl", "b.jsonl"])
    with pytest.raises(SystemExit):
        noise.main()
    assert "the two tables share no architecture" in capsys.readouterr().err


def test_a_predictor_s_goal_follows_the_noise_of_the_table(script):
    accuracy = script("accuracy")
    row = {"mape_percent": 3.5, "spearman": 0.99, "coverage_percent": 90.0, accuracy.MAPE_OF_FEW: 8.5}
    assert accuracy.with_goals(row | {"floor_percent": 3.0})["missed"] == "MAPE of 50 rows <= 8"
    for floor in (1.0, None):
        assert accuracy.with_goals(row | {"floor_percent": floor})["missed"].startswith("MAPE <= 3;")
    worse = row | {"spearman": 0.97, "coverage_percent": 95.0, "floor_percent": 3.0}
    assert accuracy.with_goals(worse)["missed"].startswith("Spearman >= 0.98; coverage 86 to 94")
