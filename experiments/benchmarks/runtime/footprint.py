"""How soon a process translates, and how much memory it takes, beside one that only imports onnxruntime.

Every figure is that of a fresh process: `load` a bundle, which checks all its checksums, translate one sentence, then
32 at once. Time counts from before the process is started to when it has written the first translation.

    python experiments/benchmarks/runtime/footprint.py [--models small base] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import common
import pandas as pd
from workers import ONE_THREAD

BARE = "bare"


def probe(bundle: str, precision: str) -> None:
    """What the fresh process does; writes a line of JSON after each part."""
    from workers import resident_bytes

    if bundle == BARE:
        import onnxruntime  # noqa: F401

        print(json.dumps(resident_bytes()), flush=True)
        return
    from automoe.runtime import load

    sentence = " ".join(f"w{index}" for index in range(10, 22))
    translator = load(bundle, precision=precision)
    translator.translate([sentence])
    print(json.dumps(resident_bytes()), flush=True)
    translator.translate([sentence] * 32, batch=32)
    print(json.dumps(resident_bytes()), flush=True)
    assert "torch" not in sys.modules


def measure(bundle: Path | str, precision: str) -> dict[str, float]:
    """Starts a fresh process. Returns seconds to the first line, and MB after each."""
    command = [sys.executable, __file__, "--probe", str(bundle), precision]
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE)
    assert process.stdout is not None
    first = process.stdout.readline()
    seconds = time.perf_counter() - begin
    rest = process.stdout.read()
    if process.wait():
        raise RuntimeError(f"{command} failed")
    resident = [json.loads(line) / 1e6 for line in (first, *rest.splitlines())]
    return {"seconds": seconds, "one": resident[0], "batch": resident[-1]}


def report(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time and memory of one model in both precisions, over several fresh processes in turns."""
    from automoe.bundle import read_bundle, weights_file

    bundle = args.work / name / "bundle"
    files = read_bundle(bundle).manifest.files
    kinds = [(BARE, ""), *((bundle, precision) for precision in ("float32", "int8"))]
    found = [[measure(*kind) for kind in kinds] for _ in range(args.rounds)]
    bare = pd.Series([row[0]["one"] for row in found])
    rows = [{"model": name, "what": "bare onnxruntime", "unit": "MB", **common.quartiles(bare)}]
    for index, (_, precision) in enumerate(kinds[1:], start=1):
        of_kind = pd.DataFrame([row[index] for row in found])
        weights = files[weights_file(precision)].bytes / 1e6
        where = {"model": name, "precision": precision}
        goals = {"seconds": "<= 1.5", "one": f"<= {2 * weights + 50:.0f}", "batch": ""}
        what = {"seconds": "first translation", "one": "above bare, one sentence", "batch": "above bare, batch 32"}
        rows.append({**where, "what": "weights", "unit": "MB", "median": weights})
        for column, values in of_kind.items():
            is_time = column == "seconds"
            over = values if is_time else values - bare.median()
            unit = "s" if is_time else "MB"
            rows.append(
                {**where, "what": what[column], "unit": unit, **common.quartiles(over), "goal": goals[column]}
            )
    return rows


def main() -> None:
    parser = common.options(__doc__, rounds=5)
    parser.add_argument("--models", nargs="+", default=["small", "base"])
    args = common.parse(parser)
    common.make_models(args.models, args.work)
    common.save([row for name in args.models for row in report(name, args)], "footprint", args)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--probe"]:
        probe(*sys.argv[2:])
    else:
        main()
