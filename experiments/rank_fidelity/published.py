"""How well published supernets order sub-transformers, beside parameters, FLOPs and decoder depth.

    AUTOMOE_DATA=FOLDER python experiments/rank_fidelity/published.py        # a second

30 sub-transformers of HAT's space for each of two tasks, in FOLDER/subtransformer_bleu: BLEU when trained from
scratch against BLEU with the weights of four supernets (see `automoe/evaluation/published_bleu.py`). Prints a table
for each task, overall and at equal decoder depth, and writes `results/published.csv` and `results/published.json`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "runtime"))

import common

from automoe.evaluation.fidelity import EQUAL_DEPTH, OVERALL, Fidelity, FidelityConfig, depth_then, rank_fidelity
from automoe.evaluation.published_bleu import PublishedBleu, read_published_bleu
from automoe.files import csv_text, sha256_of, write_atomically, write_json

TASKS = {"WMT'14 En-De": "wmt14ende.jsonl.gz", "WMT'14 En-Fr": "wmt14enfr.jsonl.gz"}
ASSUMED_NOISE = 0.1
"""BLEU between two seeds of one architecture, as a standard deviation. The tables hold one training each: it is
assumed, not measured."""


def judged(table: PublishedBleu, noise: float, config: FidelityConfig) -> Fidelity:
    """The supernets of a table, beside what is known without one."""
    trivial = {
        "parameters": table.parameters_N,
        "FLOPs": table.flops_N,
        "decoder depth": table.decoder_layers_N,
        "depth + parameters": depth_then(table.decoder_layers_N, table.parameters_N),
    }
    return rank_fidelity(
        [[bleu] for bleu in table.scratch_N],
        {**table.inherited, **trivial},
        table.decoder_layers_N,
        baselines=tuple(trivial),
        noise=noise,
        config=config,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the tables (default: $AUTOMOE_DATA/subtransformer_bleu)")
    parser.add_argument("--split", choices=("valid", "test"), default="valid", help="sentences that BLEU is of")
    parser.add_argument("--noise", type=float, default=ASSUMED_NOISE, help="assumed deviation of BLEU between seeds")
    parser.add_argument("--resamples", type=int, default=10_000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the results")
    given = sys.argv[1:] if arguments is None else arguments
    args = parser.parse_args(given)
    if args.data is None and "AUTOMOE_DATA" not in os.environ:
        parser.error("give --data FOLDER, or set AUTOMOE_DATA to a folder that holds subtransformer_bleu/")
    folder = args.data or Path(os.environ["AUTOMOE_DATA"]) / "subtransformer_bleu"
    config = FidelityConfig(resamples=args.resamples, seed=args.seed)
    rows = []
    for task, name in TASKS.items():
        fidelity = judged(read_published_bleu(folder / name, args.split), args.noise, config)
        rows += [{"task": task, "split": args.split, **row} for row in fidelity.to_rows()]
        for scope in (OVERALL, EQUAL_DEPTH):
            print(f"\n{task}, {args.split} BLEU of {fidelity.architectures} sub-transformers, {scope}\n")
            print(fidelity.to_markdown(scope), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out / "published.csv", csv_text(rows, digits=4))
    about = {
        "command": shlex.join(["python", "experiments/rank_fidelity/published.py", *given]),
        **common.machine(),
        "inputs": {name: sha256_of(folder / name) for name in TASKS.values()},
        "coverage": config.coverage,
        "resamples": config.resamples,
        "seed": config.seed,
        "assumed_noise_bleu": args.noise,
        "clear_beyond": config.clear_beyond,
    }
    write_json(args.out / "published.json", about)


if __name__ == "__main__":
    main()
