"""How much slower distinct hypotheses are than identical ones, for models with experts, by depth and expert count.

Identical hypotheses go to the same expert of each layer, so that a step runs one expert and not several: a latency
that was measured so (as AutoMoE's was) is too low for real translations. Random weights, experts at about uniform
load; dim 256, 256 hidden units an expert, an encoder of one dense layer, 6,000 words, beam 5, sentences of 25 tokens
translated at the same length, one thread. All models and both kinds of beams take turns within each round; a ratio
is the median over the rounds.

    python experiments/benchmarks/latency/beams.py [--backends onnx torch] [--precision float32] [--quick]
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before NumPy is loaded
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import common
import numpy as np
import pandas as pd

from automoe.decoding import SearchConfig, Stepper, search
from automoe.latency import random_panel
from automoe.latency.beam_watch import BeamWatch
from automoe.latency.identical_beams import IdenticalBeams
from automoe.latency.untrained import open_untrained
from automoe.space import Architecture, DecoderArch, DecoderLayerArch, EncoderArch, EncoderLayerArch

RESULTS = Path(__file__).parent / "results"
NAME = "beams"
DEPTHS, EXPERTS = (1, 2, 4), (1, 2, 3, 6)
DIM, WIDTH, HEADS = 256, 256, 4
VOCAB_SIZE, BEAM, TOKENS, SENTENCES = 6000, 5, 25, 4
DISTINCT, IDENTICAL = "distinct", "identical"


def architecture(depth: int, experts: int) -> Architecture:
    """A model whose decoder has `depth` layers of `experts` experts, 1 being a dense layer."""
    sizes: dict[str, Any] = {"heads": HEADS, "qkv_dim": DIM}
    decoder = DecoderLayerArch(**sizes, expert_widths=(WIDTH,) * experts, cross_heads=HEADS, cross_qkv_dim=DIM)
    return Architecture(
        encoder=EncoderArch(dim=DIM, layers=(EncoderLayerArch(**sizes, expert_widths=(WIDTH,)),)),
        decoder=DecoderArch(dim=DIM, layers=(decoder,) * depth),
    )


def translation(stepper: Stepper) -> Callable[[], None]:
    """The work that is timed: all sentences, one at a time."""
    sources = [np.array(source) for source in random_panel([TOKENS] * SENTENCES, VOCAB_SIZE, seed=1).sources]
    config = SearchConfig(beam=BEAM, max_ratio=0.0, max_extra=TOKENS - 1, min_length=TOKENS - 1)

    def translate() -> None:
        for source in sources:
            search(stepper, [source], config)

    return translate


def check(stepper: Stepper) -> None:
    """Both kinds of beams make as many steps, and are what they are called."""
    seen = {DISTINCT: BeamWatch(stepper), IDENTICAL: BeamWatch(stepper)}
    translation(seen[DISTINCT])()
    translation(IdenticalBeams(seen[IDENTICAL]))()
    for watch, share in ((seen[DISTINCT], 1), (seen[IDENTICAL], 0)):
        assert watch.steps == TOKENS * SENTENCES, f"{watch.steps} steps and not {TOKENS * SENTENCES}"
        assert watch.distinct_beams == share, f"{watch.distinct_beams:.0%} of the steps have distinct hypotheses"


def block_ms(work: Callable[[], None], seconds: float) -> float:
    """Does the work again and again for about so long; returns milliseconds per sentence."""
    calls, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds or not calls:
        work()
        calls += 1
    return 1000 * elapsed / (calls * SENTENCES)


def main() -> None:
    parser = common.options(__doc__, rounds=15, seconds=0.2)
    parser.set_defaults(out=RESULTS)
    parser.add_argument("--backends", nargs="+", default=["onnx", "torch"], help="what runs the models")
    parser.add_argument("--precision", default="float32", help="in which they run")
    args = common.parse(parser)
    depths, expert_counts = ((1,), (1, 6)) if args.quick else (DEPTHS, EXPERTS)
    works: dict[tuple[str, int, int, str], Callable[[], None]] = {}
    for backend, depth, experts in product(args.backends, depths, expert_counts):
        arch = architecture(depth, experts)
        stepper = open_untrained(
            arch, vocab_size=VOCAB_SIZE, pre_norm=True, backend=backend, precision=args.precision
        )
        check(stepper)  # and warm up
        works[backend, depth, experts, DISTINCT] = translation(stepper)
        works[backend, depth, experts, IDENTICAL] = translation(IdenticalBeams(stepper))
    rounds = [[block_ms(work, args.seconds) for work in works.values()] for _ in range(args.rounds)]
    times = pd.DataFrame(rounds, columns=pd.MultiIndex.from_tuples(works))
    rows: list[dict[str, Any]] = []
    for backend, depth, experts in dict.fromkeys(key[:3] for key in works):
        of_model = times[backend, depth, experts]
        of_what = {"backend": f"{backend} {args.precision}", "decoder_layers": depth, "experts": experts}
        rows += common.times_rows(of_model, "ms a sentence", **of_what)
        rows.append(common.ratio_row(of_model, DISTINCT, IDENTICAL, **of_what))
    common.save(rows, NAME, args, pivot=("backend", "decoder_layers", "experts"))


if __name__ == "__main__":
    main()
