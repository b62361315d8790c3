"""Sentences per second at batch 32 and beam 5, one thread, on the test sentences of a finished run.

Three models: `small` of random weights on the run's sentences, each batch as long as its references on average;
the run's `dense` model, which ends its translations itself; the `shipped` model of the run, which may have experts.

    python experiments/benchmarks/runtime/throughput.py --run runs/quickstart [--quick]
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import common
import pandas as pd
from engines import agree
from models import MODELS
from task import Task, real_task
from trained import corpus
from workers import Spec, Worker, rounds, start

PRECISIONS = ("float32", "int8")


def compare(name: str, task: Task, specs: list[Spec], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Sentences per second of engines on a model, and ratios to CTranslate2 where it is one of them."""
    print(f"\n{name}: {task.num_sentences} sentences in {len(task.batches)} batches")
    with ExitStack() as stack:
        workers = start(specs, stack, core=args.core, logs=args.work / "logs")
        tokens = {label: worker.call("prepare", task) for label, worker in workers.items()}
        _print_agreement(workers, tokens, task)
        times = pd.DataFrame(rounds(list(workers.values()), args.rounds, args.seconds))
    rows = common.times_rows(1e3 * task.num_sentences / times, "sentences/s", model=name)
    for precision in PRECISIONS if "ctranslate2 int8" in times else ():
        theirs = common.best_ctranslate2(times, precision)
        rows.append(common.ratio_row(times, theirs, f"automoe {precision}", ">= 1", model=name))
    return rows


def _print_agreement(workers: dict[str, Worker], tokens: dict[str, list[list[int]]], task: Task) -> None:
    """Tokens in all, and how many translations are those of our float32; at forced lengths all must have as many."""
    forced = task.batches[0].words is not None
    total = sum(map(len, tokens["automoe float32"]))
    for label, translations in tokens.items():
        count, ours = sum(map(len, translations)), tokens["automoe float32"]
        assert not forced or count == total, f"{label} emits another number of tokens"
        if forced and label.startswith("ctranslate2"):  # it chooses a word where we end: compared before that
            ours, translations = (workers[name].call("ranking", task) for name in ("automoe float32", label))
        print(f"  {label}: {count} tokens, {agree(ours, translations)} sentences as automoe float32")


def main() -> None:
    parser = common.options(__doc__, rounds=5)
    parser.add_argument("--run", type=Path, required=True, help="a finished run")
    parser.add_argument("--sentences", type=int, default=160, help="of the test set, evenly spread")
    args = common.parse(parser)
    common.make_models(["small"], args.work)
    common.make_trained(args.run, args.work)
    prepared = corpus(args.run)
    sources, targets = (prepared.ids("test", side) for side in ("src", "tgt"))
    picked = range(0, len(sources), max(1, len(sources) // args.sentences))
    ids = [sources[index].tolist() for index in picked]
    words = [len(targets[index]) - 1 for index in picked]
    assert max(max(row) for row in ids) < MODELS["small"].vocab_size

    def both(folder: Path) -> list[Spec]:
        ours = [common.automoe(folder, precision) for precision in PRECISIONS]
        return ours + [spec for precision in PRECISIONS for spec in common.ctranslate2(folder, precision)]

    rows = compare("small", real_task(ids, words=words), both(args.work / "small"), args)
    rows += compare("dense", real_task(ids), both(args.work / "dense"), args)
    shipped = args.work / "shipped"
    specs = [common.automoe(shipped, precision) for precision in PRECISIONS]
    specs += [common.automoe(shipped, p, f"automoe {p} shortlist", shortlist=True) for p in PRECISIONS]
    specs.append(common.automoe(shipped, "float32", "torch", backend="torch"))
    rows += compare("shipped", real_task(ids), specs, args)
    common.save(rows, "throughput", args)


if __name__ == "__main__":
    main()
