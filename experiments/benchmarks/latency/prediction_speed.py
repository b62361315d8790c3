"""How long 100,000 architectures take, point and interval, on one core.

    python experiments/benchmarks/latency/prediction_speed.py

Every kind of regressor learns 250 rows of a made-up machine; then 100,000 architectures of the space `multi30k` are
predicted, after encoding, which is timed apart: kinds that see sums over layers take the same features. A search asks
for thousands of architectures in turn, many times over.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before NumPy is loaded

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import common
import numpy as np

from automoe.predictor import CalibratedPredictor, make_predictor
from automoe.predictor.layer_sums import SUM_NAMES, layer_sums
from automoe.predictor.regressor import REGRESSORS
from automoe.space import Architecture, GenomeCodec, find_space, read_space

ROWS, ARCHITECTURES, ROUNDS = 250, 100_000, 5
GOAL = "<= 1 s"


def main() -> None:
    """Prints and writes the seconds of each kind."""
    parser = common.options(__doc__)
    parser.set_defaults(out=Path(__file__).parent / "results", rounds=ROUNDS)
    args = common.parse(parser)
    codec, rng = GenomeCodec(read_space(find_space("multi30k"))), np.random.default_rng(0)
    learnt = codec.decode_all(codec.sample(ROWS, rng))
    asked = codec.decode_all(codec.sample(ARCHITECTURES, rng))
    rows = [_row(kind, learnt, asked, args.rounds) for kind in REGRESSORS]
    common.save(rows, "prediction_speed", args)


def _row(kind: str, learnt: Sequence[Architecture], asked: Sequence[Architecture], rounds: int) -> dict[str, Any]:
    values_N = made_up_ms(learnt, seed=1)
    base = make_predictor("ridge")
    base.fit(learnt, made_up_ms(learnt, seed=2))
    predictor: CalibratedPredictor = make_predictor(kind, base=base if kind == "transfer" else None)
    began = time.perf_counter()
    predictor.fit(learnt, values_N)
    fitted = time.perf_counter()
    features = predictor.encode(asked)
    encoded = time.perf_counter()
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        predictor.predict_encoded(features)
        seconds.append(time.perf_counter() - begun)
    return {
        "what": kind,
        "unit": "s",
        **common.quartiles(seconds),
        "goal": GOAL,
        "fit_s": fitted - began,
        "encode_s": encoded - fitted,
    }


def made_up_ms(archs: Sequence[Architecture], seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Overhead of decoder layers and their experts, products, and 3 % of noise."""
    x_NF, _ = layer_sums(archs)
    column = {name: x_NF[:, index] for index, name in enumerate(SUM_NAMES)}
    ms_N = 1 + column["decoder.layers"] + 0.2 * column["decoder.experts_reached"] + 2e-6 * column["decoder.step_macs"]
    noise_N = np.random.default_rng(seed).standard_normal(len(archs))
    return np.asarray((ms_N + 1e-7 * column["encoder.macs"]) * np.exp(0.03 * noise_N))


if __name__ == "__main__":
    main()
