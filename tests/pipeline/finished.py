"""What a finished run holds, apart from what was measured on this machine."""

import json
import subprocess
from pathlib import Path


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
        "profile/current/table.jsonl",
        "predictor/current/predictor.json",
        "predictor/current/bounds.json",
        "search/current/archive.jsonl",
        "select/current/archive.jsonl",
        "select/current/selection.json",
        "distill/current/model.safetensors",
        "distill/current/training.jsonl",
        "export/current/bundle/model.safetensors",
        *(f"evaluate/current/hypotheses.{system}.txt" for system in ("model", "inherited", "largest")),
    )
    found = {name: (run_dir / name).read_bytes() for name in names}
    return found | {"scores": timeless_scores(run_dir), "bundle": timeless_bundle(run_dir)}


def timeless_bundle(run_dir: Path) -> bytes:
    """What the bundle says of itself, without what was measured on this machine, which its card says too."""
    said = json.loads((run_dir / "export/current/bundle/bundle.json").read_bytes())
    del said["info"]["latency"], said["info"]["budget"], said["files"]["README.md"], said["checksum"]
    return json.dumps(said).encode()


def timeless_scores(run_dir: Path) -> bytes:
    """The scores without what was measured on this machine."""
    scores = json.loads((run_dir / "evaluate/current/scores.json").read_bytes())
    del scores["budget"]
    for scored in scores["systems"].values():
        scored.pop("latency", None)
    return json.dumps(scores).encode()
