"""A supernet that visits one architecture in every step, beside fairseq's `transformer`: target tokens per second.

    python experiments/benchmarks/layers/training_speed.py --data runs/quickstart/data/current --space quickstart

fairseq's Trainer for its model, that of `automoe supernet` for ours; the same optimiser, batches and dropout. The
dense architecture is the space's largest with one expert a layer, all of the largest width, and cross-attention to
the last layer of the encoder: what fairseq's model is, too.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

import common
from trainers import Trained, TrainerWorker

from automoe.space import Architecture, find_space, read_space

HERE = Path(__file__).parent
GOALS = {"largest dense": ">= 0.85", "largest with experts": ">= 0.7"}


def main() -> None:
    """Trains all in turns, round by round."""
    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared corpus: the `data` stage of a run")
    parser.add_argument("--space", default="quickstart", help="search space: name or file")
    parser.add_argument("--max-tokens", type=int, default=2048, help="tokens of a batch")
    parser.add_argument("--batches", type=int, default=2, help="different batches, all in every round")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each engine")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="processor to use")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder for the table")
    args = parser.parse_args()
    space = read_space(find_space(args.space))
    supernet, dense = space.envelope(), densest(space.largest())
    models = [
        Trained(label="fairseq", arch=dense),
        Trained(label="largest dense", arch=dense, supernet=supernet),
        Trained(label="largest with experts", arch=space.largest(), supernet=supernet),
    ]
    settings: dict[str, Any] = {"data": args.data, "max_tokens": args.max_tokens, "batches": args.batches}
    with ExitStack() as stack:
        workers = [stack.enter_context(TrainerWorker(model, **settings, core=args.core)) for model in models]
        for worker in workers:
            worker.speed()  # warms up
        speeds = pd.DataFrame([{worker.label: worker.speed() for worker in workers} for _ in range(args.rounds)])
        rows = [
            {"space": space.name, "what": worker.label, "unit": "tokens/s", "parameters_m": worker.parameters / 1e6}
            | common.quartiles(speeds[worker.label])
            for worker in workers
        ]
    rows += [common.ratio_row(speeds, label, "fairseq", goal, space=space.name) for label, goal in GOALS.items()]
    about = {"max_tokens": args.max_tokens, "batches": args.batches, "rounds": args.rounds, "core_used": args.core}
    common.write_table(rows, f"training_speed_{space.name}", args.out, **about)


def densest(arch: Architecture) -> Architecture:
    """The same with one expert a layer, all of the largest width, and cross-attention to the last layer."""
    width = max(max(layer.expert_widths) for _, _, layer in arch.layers())
    one = {"expert_widths": (width,), "top_k": 1}
    encoder = tuple(replace(layer, **one) for layer in arch.encoder.layers)
    decoder = tuple(replace(layer, **one, cross_layers=1) for layer in arch.decoder.layers)
    return replace(arch, encoder=replace(arch.encoder, layers=encoder), decoder=replace(arch.decoder, layers=decoder))


if __name__ == "__main__":
    main()
