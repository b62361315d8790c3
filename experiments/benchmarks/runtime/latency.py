"""How long one sentence takes: one thread, 25 tokens in, 25 decoding steps, beam 5, random weights.

Dense models beside CTranslate2 and fairseq; models with experts beside their dense twin and PyTorch. All engines of
a table take turns within each round; a ratio is the median over the rounds.

    python experiments/benchmarks/runtime/latency.py [--models small base] [--quick]
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import Any

import common
import pandas as pd
from engines import agree
from models import MODELS
from routing import flops
from task import random_task
from workers import Spec, Worker, rounds, start

PRECISIONS = ("float32", "int8")
TOKENS = 25
GOALS = {
    ("small", "float32"): ">= 1.5",
    ("small", "int8"): ">= 1.2",
    ("base", "float32"): ">= 1.5",
    ("base", "int8"): ">= 1.5",
}
FAIRSEQ_GOALS = {"small": ">= 5"}


def dense(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A dense model in all engines."""
    folder = args.work / name
    specs = [common.automoe(folder, precision) for precision in PRECISIONS]
    specs += [spec for precision in PRECISIONS for spec in common.ctranslate2(folder, precision)]
    specs.append(Spec(label="fairseq float32", engine="fairseq", options={"folder": str(folder)}))
    task = random_task(MODELS[name].vocab_size, sentences=1 if name == "base" else 4, source=TOKENS, target=TOKENS)
    print(f"\n{name}, dense")
    with ExitStack() as stack:
        workers = start(specs, stack, core=args.core, logs=args.work / "logs")
        tokens = {label: worker.call("prepare", task) for label, worker in workers.items()}
        _check_lengths(tokens)
        _check_agreement(workers, tokens, MODELS[name].vocab_size)
        times = pd.DataFrame(rounds(list(workers.values()), args.rounds, args.seconds)) / task.num_sentences
    rows = common.times_rows(times, "ms a sentence", model=name)
    for precision in PRECISIONS:
        theirs = common.best_ctranslate2(times, precision)
        goal = GOALS.get((name, precision), "")
        rows.append(common.ratio_row(times, theirs, f"automoe {precision}", goal, model=name))
    rows.append(
        common.ratio_row(times, "fairseq float32", "automoe float32", FAIRSEQ_GOALS.get(name, ""), model=name)
    )
    return rows


def experts(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Twins of a dense model with six experts in every layer, in our runtime and in PyTorch."""
    specs, twins = [], [name, f"{name}-6x", f"{name}-6x-unequal"]
    for twin in twins:
        folder = args.work / twin
        specs += [common.automoe(folder, precision, f"{twin} {precision}") for precision in PRECISIONS]
        specs.append(common.automoe(folder, "float32", f"{twin} torch", backend="torch"))
    model, rows = MODELS[name], []
    task = random_task(model.vocab_size, sentences=4, source=TOKENS, target=TOKENS)
    print(f"\n{name} and its twins with experts")
    with ExitStack() as stack:
        workers = start(specs, stack, core=args.core, logs=args.work / "logs")
        tokens = {label: worker.call("prepare", task) for label, worker in workers.items()}
        _check_lengths(tokens)
        for twin in twins:
            alike = agree(tokens[f"{twin} float32"], tokens[f"{twin} torch"])
            print(f"  {twin}: float32 emits the tokens of PyTorch in {alike} of {task.num_sentences}")
            rows += _routing(twin, workers, task)
        times = pd.DataFrame(rounds(list(workers.values()), args.rounds, args.seconds)) / task.num_sentences
    rows = common.times_rows(times, "ms a sentence", model=name) + rows
    for twin, goals in ((twins[1], ("<= 1.6", "<= 1.6")), (twins[2], ("<= 1.25", ""))):
        for precision, goal in zip(PRECISIONS, goals, strict=True):
            rows.append(common.ratio_row(times, f"{twin} {precision}", f"{name} {precision}", goal, model=name))
    for twin in twins:
        rows.append(common.ratio_row(times, f"{twin} torch", f"{twin} float32", ">= 2", model=name))
    return rows


def _check_lengths(tokens: dict[str, list[list[int]]]) -> None:
    """All engines make as many steps: a token a step."""
    for label, translations in tokens.items():
        lengths = {len(ids) for ids in translations}
        assert lengths == {TOKENS}, f"{label} emits {lengths} tokens and not {TOKENS}"
    print(f"  tokens emitted by each: {TOKENS}, so as many decoding steps")


def _check_agreement(workers: dict[str, Worker], tokens: dict[str, list[list[int]]], vocab_size: int) -> None:
    """In float32 all engines find the same hypotheses; CTranslate2's are compared before the end symbol."""
    task = random_task(vocab_size, sentences=4, source=TOKENS, target=TOKENS, seed=1)
    ours = workers["automoe float32"].call("ranking", task)
    alike = agree(ours, workers["ctranslate2 float32"].call("ranking", task))
    print(
        f"  float32: CTranslate2 finds the same {task.beam} hypotheses for {alike} of {task.num_sentences} sentences"
    )
    assert alike == task.num_sentences
    assert tokens["automoe float32"] == tokens["fairseq float32"], "fairseq emits other tokens"
    print("  float32: fairseq emits the same tokens")
    alike = agree(workers["automoe int8"].call("ranking", task), workers["ctranslate2 int8"].call("ranking", task))
    print(f"  int8: CTranslate2 finds the same hypotheses for {alike} of {task.num_sentences} (other rounding)")


def _routing(twin: str, workers: dict[str, Worker], task: Any) -> list[dict[str, Any]]:
    """FLOPs, and how many experts and beams are in use."""
    model, loads, counted = MODELS[twin], None, {}
    if not model.is_dense:
        found = workers[f"{twin} torch"].call("routing", task)
        loads = found["loads"]
        counted = {"experts a step": found["experts_a_step"], "experts a source": found["experts_a_source"]}
    active, executed = flops(model.arch, model.vocab_size, TOKENS, loads)
    watched = workers[f"{twin} float32"].call("watch", task)
    assert watched["steps"] == TOKENS * task.num_sentences
    counted |= {"share of steps with distinct beams": watched["distinct_beams"]}
    counted |= {"active MFLOPs": active / 1e6, "executed MFLOPs": executed / 1e6}
    return [{"model": twin, "what": what, "unit": "", "median": value} for what, value in counted.items()]


def main() -> None:
    parser = common.options(__doc__)
    parser.add_argument("--models", nargs="+", default=["small", "base"], help="dense models")
    parser.add_argument("--twins", default="small", help="the dense model whose twins have experts")
    args = common.parse(parser)
    wanted = {*args.models, args.twins, f"{args.twins}-6x", f"{args.twins}-6x-unequal"}
    common.make_models(sorted(wanted), args.work)
    for name in args.models:
        common.save(dense(name, args), f"latency-{name}", args)
    common.save(experts(args.twins, args), "latency-experts", args)


if __name__ == "__main__":
    main()
