"""Where the time of a translation goes: the encoder's graph, the decoder's graph, our code around them.

python experiments/benchmarks/runtime/breakdown.py [--models small base] [--quick]
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any


class Stopwatch:
    """Passes a method's calls on and adds up how long they take. Args: the method."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method
        self.seconds = 0.0

    def __call__(self, *args: Any) -> Any:
        begin = time.perf_counter()
        try:
            return self._method(*args)
        finally:
            self.seconds += time.perf_counter() - begin


class _Session:
    """An ONNX Runtime session under a stopwatch."""

    def __init__(self, session: Any) -> None:
        self.run = Stopwatch(session.run)


def breakdown(stepper: Any, run: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Runs a search for about so long, with stopwatches on its stepper and sessions.

    Returns:
        Milliseconds of one run: of the two graphs, of the rest of the stepper, of the search, and `all`.
    """
    encoder, decoder = _Session(stepper._encoder), _Session(stepper._decoder)
    saved = stepper._encoder, stepper._decoder
    stepper._encoder, stepper._decoder = encoder, decoder
    start, step = Stopwatch(stepper.start), Stopwatch(stepper.step)
    stepper.start, stepper.step = start, step
    runs, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds or not runs:
        run()
        runs += 1
    stepper._encoder, stepper._decoder = saved
    del stepper.start, stepper.step
    graphs = encoder.run.seconds + decoder.run.seconds
    of_stepper = start.seconds + step.seconds
    parts = {
        "encoder graph": encoder.run.seconds,
        "decoder graph": decoder.run.seconds,
        "stepper": of_stepper - graphs,
        "search": elapsed - of_stepper,
        "all": elapsed,
    }
    return {part: 1e3 * spent / runs for part, spent in parts.items()}


def main() -> None:
    import common
    import pandas as pd
    from models import MODELS
    from task import random_task
    from workers import start

    parser = common.options(__doc__, rounds=5, seconds=0.3)
    parser.add_argument("--models", nargs="+", default=["small", "small-6x", "base"])
    args = common.parse(parser)
    common.make_models(args.models, args.work)
    rows = []
    for name in args.models:
        specs = [common.automoe(args.work / name, precision) for precision in ("float32", "int8")]
        with ExitStack() as stack:
            workers = start(specs, stack, core=args.core, logs=args.work / "logs")
            for label, worker in workers.items():
                for sentences in (1, 32):
                    task = random_task(MODELS[name].vocab_size, sentences=sentences, batch=sentences)
                    worker.call("prepare", task)
                    times = pd.DataFrame([worker.call("breakdown", task, args.seconds) for _ in range(args.rounds)])
                    where = {"model": name, "engine": label, "batch": sentences}
                    for row in common.times_rows(times, "ms", **where):
                        share = 100 * times[row["what"]].sum() / times["all"].sum()
                        rows.append(row | {"share %": round(share, 1)})
    common.save(rows, "breakdown", args)


if __name__ == "__main__":
    main()
