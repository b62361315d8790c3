"""Measures sub-transformers of a trained supernet into a table, as `automoe profile` does; two tables show the noise.

    python experiments/benchmarks/latency/measure.py --run runs/multi30k --space multi30k --rows 250 --table a.jsonl
    python experiments/benchmarks/latency/measure.py --run runs/multi30k --space multi30k --rows 250 --table b.jsonl

The architectures are the same for the same number of rows. `--busy 20` keeps another process busy on another core,
20 seconds on and 20 seconds off, as a neighbour would. Killed, it goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Process
from pathlib import Path

from automoe.data import PreparedData
from automoe.latency import ProfileConfig, TableWriter, measure_missing
from automoe.nn.model_folder import read_model
from automoe.pipeline.measuring import Bench
from automoe.pipeline.profile import chosen_architectures
from automoe.progress import Progress
from automoe.space import find_space, read_space


def main() -> None:
    """Measures what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a run folder with a trained supernet")
    parser.add_argument("--space", required=True, help="its space: a shipped one by name, or a YAML file")
    parser.add_argument("--rows", type=int, default=250, help="architectures to measure")
    parser.add_argument("--table", type=Path, required=True, help="the table to write, or to go on with")
    parser.add_argument("--busy", type=float, metavar="SECONDS", help="a busy neighbour, so long on and so long off")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="processor to use")
    parser.add_argument("--seed", type=int, default=1, help="chooses the architectures")
    args = parser.parse_args()
    others = sorted(os.sched_getaffinity(0) - {args.core})
    os.sched_setaffinity(0, {args.core})
    with neighbour(args.busy, others), tempfile.TemporaryDirectory() as folder:
        measure(args, Path(folder))


def measure(args: argparse.Namespace, folder: Path) -> None:
    """Measures what the table lacks."""
    space = read_space(find_space(args.space))
    prepared = PreparedData.open(args.run / "data" / "current")
    supernet = read_model(args.run / "supernet" / "current")
    bench = Bench(supernet, prepared, space, ProfileConfig(), 5, folder)
    writer = TableWriter(args.table, bench.header)
    archs = chosen_architectures(space, args.rows, supernet, args.seed)
    missing = [arch for arch in archs if arch.digest not in writer.digests]
    with Progress("measuring", total=len(archs), unit="sub-transformer", done=len(archs) - len(missing)) as progress:
        measure_missing(
            missing,
            bench.profiler(writer.baseline_ms),
            writer,
            expert_loads=bench.loads,
            on_measured=lambda row: progress.advance(note=f"{row.latency_ms:.1f} ms a sentence"),
        )
    writer.settle()


@contextmanager
def neighbour(seconds: float | None, cores: list[int]) -> Iterator[None]:
    """Another process that is busy half of the time, on another core."""
    if seconds is None:
        yield
        return
    if not cores:
        sys.exit("--busy takes a second core, and there is one only")
    process = Process(target=_be_busy, args=(seconds, cores[0]), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()


def _be_busy(seconds: float, core: int) -> None:
    import numpy as np

    os.sched_setaffinity(0, {core})
    a_NN = np.random.default_rng(0).standard_normal((512, 512))
    while True:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            a_NN @ a_NN
        time.sleep(seconds)


if __name__ == "__main__":
    main()
