"""How latency and memory grow: with the number of experts, with the source's length, with the beam.

python experiments/benchmarks/runtime/growth.py [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import common
import pandas as pd
from models import GROWTH, MODELS
from task import Task, random_task
from workers import Spec, rounds, start

PRECISIONS = ("float32", "int8")
LENGTHS = (5, 10, 25, 50, 100, 200)
BEAMS = (1, 2, 3, 5, 10)
VOCAB_SIZE = MODELS["small"].vocab_size


def sweep(
    tasks: Mapping[int, Task], axis: str, specs: Sequence[Spec], args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Engines over tasks: milliseconds a sentence and memory, a row for each task and engine.

    Of CTranslate2's settings the fastest one is kept for each task.
    """
    print(f"\nover {axis}")
    rows = []
    with ExitStack() as stack:
        workers = start(specs, stack, core=args.core, logs=args.work / "logs")
        for value, task in tasks.items():
            for worker in workers.values():
                worker.call("prepare", task)
            times = pd.DataFrame(rounds(list(workers.values()), args.rounds, args.seconds)) / task.num_sentences
            kept = [label for label in times if "ctranslate2" not in label]
            if len(kept) < times.shape[1]:
                kept += [common.best_ctranslate2(times, precision) for precision in PRECISIONS]
            for row in common.times_rows(times[kept], "ms a sentence"):
                resident = workers[row["what"]].call("resident") / 1e6
                label = " ".join(row["what"].split()[:2]) if "ctranslate2" in row["what"] else row["what"]
                setting = row["what"].removeprefix(label).strip()
                rows.append({axis: value, **row, "what": label, "setting": setting, "resident MB": round(resident)})
    return rows


def experts(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Latency and memory over the number of experts, all of width 512, in every layer."""
    found = []
    for precision in PRECISIONS:
        specs = [common.automoe(args.work / f"growth-{count}", precision, str(count)) for count in GROWTH]
        # Alone four sentences are translated, one after the other: routing differs from one to the next.
        tasks = {batch: random_task(VOCAB_SIZE, sentences=max(4, batch), batch=batch) for batch in (1, 32)}
        for batch, task in tasks.items():  # processes of their own: memory is of that batch alone
            for row in sweep({batch: task}, "batch", specs, args):
                found.append({"experts": int(row["what"]), **row, "what": f"{precision}, batch {batch}"})
    return found


def main() -> None:
    parser = common.options(__doc__, rounds=5, seconds=0.15)
    args = common.parse(parser)
    common.make_models(["small", "small-6x", *(f"growth-{count}" for count in GROWTH)], args.work)
    common.save(experts(args), "growth-experts", args, pivot=["experts"])
    small, twin = args.work / "small", args.work / "small-6x"
    specs = [common.automoe(small, precision) for precision in PRECISIONS]
    specs += [common.automoe(twin, precision, f"6 experts {precision}") for precision in PRECISIONS]
    specs += [spec for precision in PRECISIONS for spec in common.ctranslate2(small, precision)]
    lengths = {length: random_task(VOCAB_SIZE, source=length) for length in LENGTHS}
    common.save(sweep(lengths, "source tokens", specs, args), "growth-source", args, pivot=["source tokens"])
    beams = {beam: random_task(VOCAB_SIZE, beam=beam) for beam in BEAMS}
    common.save(sweep(beams, "beam", specs, args), "growth-beam", args, pivot=["beam"])


if __name__ == "__main__":
    main()
