"""`make setup && make run` in a fresh copy of the tracked files, at full size: about fifteen minutes."""

import json
import resource
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make_run(folder, *arguments):
    """What `make run` prints as JSON, and the seconds that it took."""
    begin = time.monotonic()
    command = ["make", "--silent", "run", f"ARGS={' '.join(('--json', *arguments))}"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    print(made.stderr)
    return json.loads(made.stdout), time.monotonic() - begin


@pytest.mark.slow
def test_the_quickstart_keeps_its_budget_and_beats_copying_and_its_inherited_weights(tmp_path):
    files = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", tmp_path], input=files, check=True)
    subprocess.run(["make", "setup"], cwd=tmp_path, check=True)
    result, first = make_run(tmp_path)
    again, second = make_run(tmp_path)
    assert again == result
    other, third = make_run(tmp_path, "budget.latency_ms.max_ratio=0.8")
    print(f"seconds: {first:.0f}, again {second:.1f}, with another budget {third:.0f}")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"largest process: {memory:.2f} GB")
    assert memory < 4
    stages = ("data", "supernet", "profile", "predictor", "search", "select", "distill", "export", "evaluate")
    made = {stage: len(list((tmp_path / "runs/quickstart" / stage).glob("*[0-9a-f]"))) for stage in stages}
    assert made == {stage: 2 if stage in stages[5:] else 1 for stage in stages}
    assert other["folder"] != result["folder"]
    systems = result["systems"]
    score = {name: [scored[metric]["value"] for metric in ("BLEU", "chrF")] for name, scored in systems.items()}
    print(json.dumps({"BLEU and chrF": score, "budget": result["budget"]}, indent=2))
    assert score["model"][0] >= score["copy_the_source"][0] + 3
    assert score["model"][1] >= score["copy_the_source"][1] + 8
    assert all(model >= inherited for model, inherited in zip(score["model"], score["inherited"], strict=True))
    assert [limit["kept"] for limit in result["budget"]] == [True]
    reached = [loads for loads in systems["model"]["expert_loads"].values() if sum(load > 0 for load in loads) > 1]
    page = (tmp_path / result["report"]).read_text(encoding="utf-8")
    assert reached or "chose no expert layer" in page
