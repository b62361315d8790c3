"""How much faster four workers are than one, where an evaluation takes 200 ms; by the store in which they meet.

    python experiments/benchmarks/search/workers.py [--postgres URL] [--evaluations 200] [--stores folder ...]

An evaluation sleeps, so that the machine's number of cores does not matter: what is measured is the stores. The clock
runs from the first architecture that is posted, when all workers wait already, to the last result.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from automoe.files import csv_text, write_atomically
from automoe.search import Quality
from automoe.search.store import FolderStore, NoStoreError, OptunaStore
from automoe.search.store_pool import StorePool
from automoe.search.worker import work
from automoe.space import Architecture, GenomeCodec, find_space, read_space

RESULTS = Path(__file__).parent / "results"
SECONDS = 0.2
GENERATION = 24
"""Architectures that are submitted together, as the default search does."""
PROCESSES = multiprocessing.get_context("forkserver")


def open_store(where: str) -> FolderStore | OptunaStore:
    return OptunaStore(where, "benchmark", "none") if "://" in where else FolderStore(where, "none")


def wait_and_tell(_arch: Architecture) -> Quality:
    time.sleep(SECONDS)
    return Quality(1.0)


def run_worker(where: str, name: str) -> None:
    store = open_store(where)
    while True:
        try:
            store.join(name)
            break
        except NoStoreError:
            time.sleep(0.05)
    work(store, wait_and_tell, name)


def seconds_of(where: str, archs: list[Architecture], workers: int) -> float:
    """Wall time of evaluating all of them by generations."""
    processes = [PROCESSES.Process(target=run_worker, args=(where, f"worker{n}")) for n in range(workers)]
    with StorePool(open_store(where)) as pool:
        for process in processes:
            process.start()
        while pool._store.workers() != {f"worker{n}" for n in range(workers)}:
            time.sleep(0.1)
        begin = time.perf_counter()
        for first in range(0, len(archs), GENERATION):
            generation = archs[first : first + GENERATION]
            for arch in generation:
                pool.submit(arch)
            for _ in generation:
                pool.next()
        seconds = time.perf_counter() - begin
    for process in processes:
        process.join()
    return seconds


def places(folder: Path, postgres: str | None) -> dict[str, str]:
    found = {
        "folder": str(folder / "store"),
        "journal": f"journal:///{folder / 'journal.log'}",
        "sqlite": f"sqlite:///{folder / 'jobs.db'}",
    }
    return found | ({"postgresql": postgres} if postgres else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", metavar="URL", help="postgresql+psycopg://USER:PASSWORD@HOST/EMPTY_DATABASE")
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--stores", nargs="+", help="only these")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    codec = GenomeCodec(read_space(find_space("quickstart")))
    sampled = (
        codec.decode(genome_G) for genome_G in codec.sample(4 * arguments.evaluations, np.random.default_rng(1))
    )
    archs = list({arch.digest: arch for arch in sampled}.values())
    rows = []
    for name in arguments.stores or list(places(Path(), arguments.postgres)):
        seconds = {}
        for offset, workers in enumerate((1, 4)):
            with tempfile.TemporaryDirectory(dir=".") as folder:
                where = places(Path(folder).resolve(), arguments.postgres)[name]
                # A database keeps what it has evaluated: the second run evaluates others.
                begin = offset * arguments.evaluations if name == "postgresql" else 0
                seconds[workers] = seconds_of(where, archs[begin : begin + arguments.evaluations], workers)
        rows.append(
            {
                "store": name,
                "rate_1": round(arguments.evaluations / seconds[1], 2),
                "rate_4": round(arguments.evaluations / seconds[4], 2),
                "ratio": round(seconds[1] / seconds[4], 2),
            }
        )
        print(rows[-1], flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    command = f"python experiments/benchmarks/search/workers.py --evaluations {arguments.evaluations}"
    command += " --postgres URL" if arguments.postgres else ""
    setup = {"command": command, "evaluations": arguments.evaluations, "seconds": SECONDS, "generation": GENERATION,
             "machine": platform.machine(), "python": platform.python_version()}  # fmt: skip
    (arguments.out / "workers.json").write_text(json.dumps({**setup, "rows": rows}, indent=2) + "\n")
    write_atomically(arguments.out / "workers.csv", csv_text(rows))


if __name__ == "__main__":
    main()
