"""Executed FLOPs: counted beside torch's own counter, and learnt from the expert loads of a few architectures.

    python experiments/benchmarks/latency/executed_flops.py --run runs/quickstart quickstart \
        --run runs/multi30k multi30k

For each run with a trained supernet, on one core:

1. 50 random sub-transformers with experts each read a sentence pair; `executed_flops` of the routed counts of that
   pass beside torch's FlopCounterMode under the math attention kernel.
2. The loads of 250 random sub-transformers with experts of unequal width are counted on 100 sentences, as `profile`
   does. From the loads of 50, 100 and 200 of them the expert layers' executed FLOPs of 50 others are predicted, in
   20 random splits, and beside them stands the analytic value, at uniform load.

The result is `results/executed_flops.csv`; all errors are in percent.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before NumPy is loaded
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import common
import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from automoe.cost import costs
from automoe.cost.executed import ExpertLoads, executed_flops
from automoe.data import PreparedData
from automoe.decoding.symbols import PAD
from automoe.evaluation.ranks import spearman
from automoe.files import sha256_of
from automoe.nn import Transformer
from automoe.nn.model_folder import SIZES, read_model
from automoe.predictor.executed_flops import LEARNT, UNIFORM, ExecutedFlops, executed_values
from automoe.predictor.executed_report import has_unequal_experts
from automoe.progress import Progress
from automoe.space import Architecture, GenomeCodec, find_space, read_space
from automoe.supernet import supernet_placement
from automoe.supernet.evaluator import SupernetEvaluator, ValidationBatch, validation_batches

SENTENCES = 100
COUNTED = 50
"""Architectures whose passes are counted."""
LEARNT_FROM, HELD_OUT, SPLITS = (50, 100, 200), 50, 20


def main() -> None:
    """Prints and writes the rows of each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--run",
        nargs=2,
        action="append",
        required=True,
        metavar=("RUN_FOLDER", "SPACE"),
        help="a run with a trained supernet, and its space: a shipped one by name, or a YAML file; may be repeated",
    )
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="processor to use")
    parser.add_argument("--seed", type=int, default=1, help="chooses the architectures and the splits")
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for folder, space in args.run:
        rows += rows_of_run(Path(folder), space, args.seed)
    common.write_table(rows, "executed_flops", Path(__file__).parent / "results")


def rows_of_run(run: Path, space: str, seed: int) -> list[dict[str, Any]]:
    """A row for the counter, and two for each number of architectures that is learnt from."""
    prepared, weights = PreparedData.open(run / "data" / "current"), run / "supernet" / "current"
    supernet = read_model(weights).eval()
    batches = validation_batches(prepared, limit=SENTENCES)
    archs = unequal_architectures(space, max(LEARNT_FROM) + HELD_OUT, seed)
    evaluator, seconds = SupernetEvaluator(supernet, batches), []
    loads: dict[Architecture, ExpertLoads] = {}
    with Progress(f"counting loads, {space}", total=len(archs), unit="sub-transformer") as progress:
        for arch in archs:
            begin = time.perf_counter()
            loads[arch] = evaluator.loads(arch)
            seconds.append(time.perf_counter() - begin)
            progress.advance()
    equal = sum(is_counted_alike(supernet, arch, *_one_pair(batches)) for arch in archs[:COUNTED])
    rows = [{"what": "passes that torch counts alike", "of": COUNTED, "equal": equal}]
    rows += [row(loads, kind, count, seed) for count in LEARNT_FROM for kind in (LEARNT, UNIFORM)]
    about = {"space": space, "supernet": sha256_of(weights / SIZES)[:12], "ms_of_loads": 1e3 * np.median(seconds)}
    return [about | found for found in rows]


def unequal_architectures(space: str, count: int, seed: int) -> list[Architecture]:
    """Different random architectures whose executed FLOPs depend on the routing."""
    codec, rng = GenomeCodec(read_space(find_space(space))), np.random.default_rng(seed)
    found: dict[Architecture, None] = {}
    while len(found) < count:
        found |= dict.fromkeys(filter(has_unequal_experts, codec.decode_all(codec.sample(count, rng))))
    return list(found)[:count]


@torch.inference_mode()
def is_counted_alike(supernet: Transformer, arch: Architecture, source_1S: Tensor, previous_1L: Tensor) -> bool:
    """Whether `executed_flops` of the counts of a pass is what torch counts in it, to the last product."""
    # The fused attention of a CPU is counted as nothing.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        routings = supernet(source_1S, previous_1L, arch, supernet_placement(arch)).routings
    counts = {place: routing.loads_E().tolist() for place, routing in routings.items()}
    lengths = {"source_tokens": source_1S.shape[1], "target_tokens": previous_1L.shape[1]}
    last_layer = costs(arch, vocab_size=supernet.config.vocab_size, pre_norm=True, **lengths).flops_last_layer
    return executed_flops(arch, counts, **lengths) == counter.get_total_flops() - last_layer


def _one_pair(batches: Sequence[ValidationBatch]) -> tuple[Tensor, Tensor]:
    """The longest pair, without paddings."""
    source_BS, previous_BL, _ = batches[-1]
    return tuple(ids_BL[-1:, ids_BL[-1] != PAD] for ids_BL in (source_BS, previous_BL))  # type: ignore[return-value]


def row(loads: Mapping[Architecture, ExpertLoads], kind: str, count: int, seed: int) -> dict[str, Any]:
    """Means over the splits, and the worst of them: the expert layers' executed FLOPs of held-out architectures."""
    archs, values_N = list(loads), executed_values(loads, experts_only=True)
    found = []
    for split in range(SPLITS):
        order_N = np.random.default_rng([seed, split]).permutation(len(archs))
        learnt, held_out = order_N[:count], order_N[-HELD_OUT:]
        predictor = ExecutedFlops(loads, kind=kind, experts_only=True)
        begin = time.perf_counter()
        predictor.fit([archs[index] for index in learnt], values_N[learnt])
        seconds = time.perf_counter() - begin
        prediction, true_N = predictor.predict([archs[index] for index in held_out]), values_N[held_out]
        inside_N = (prediction.lower_N <= true_N) & (true_N <= prediction.upper_N)
        mape = 100 * np.mean(np.abs(prediction.mean_N / true_N - 1))
        width = 50 * np.mean((prediction.upper_N - prediction.lower_N) / prediction.mean_N)
        rmse = np.sqrt(np.mean((prediction.mean_N - true_N) ** 2))
        found.append((mape, rmse, spearman(true_N, prediction.mean_N), inside_N.mean(), width, seconds))
    names = ("mape_percent", "rmse", "spearman", "coverage", "half_width_percent", "seconds_to_learn")
    means = dict(zip(names, np.mean(found, axis=0).tolist(), strict=True))
    worst = {"worst_mape_percent": float(max(mape for mape, *_ in found))}
    return {"what": f"shares {kind}", "of": HELD_OUT, "learnt_from": count} | means | worst


if __name__ == "__main__":
    main()
