"""Measures 150 architectures of the space multi30k on a GPU: bfloat16 and float32, batch 1 and 32, in eight minutes.

    python experiments/gpu_profile/profile.py --out FOLDER

It needs a checkout, PyTorch and NumPy, and nothing else. Nobody has to train anything: the weights are random, decode
like trained ones, and load all experts of a layer about alike. It writes four measured tables (`NAME.jsonl`, as
`automoe profile` writes them) and each as `NAME.csv`. All four grow together, so that what there is when the time is
up says as much about each of them; the same command again goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

BEGIN = time.monotonic()  # PyTorch takes seconds to import, and the minutes are those that a user waits
HERE = Path(__file__).resolve().parent
# The checkout in place of this folder, whose profile.py would hide the module of Python's library.
sys.path = [str(HERE.parents[1]), *(entry for entry in sys.path if Path(entry).resolve() != HERE)]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from automoe.errors import AutoMoEError, ConfigError  # noqa: E402
from automoe.files import csv_text, write_atomically  # noqa: E402
from automoe.latency import (  # noqa: E402
    ExpertLoads,
    Measurement,
    ProfileConfig,
    Profiler,
    TableHeader,
    TableWriter,
    random_panel,
)
from automoe.latency.sentences import PANEL_SEED  # noqa: E402
from automoe.latency.untrained import untrained  # noqa: E402
from automoe.machine import describe_machine  # noqa: E402
from automoe.nn import DTYPES, TorchStepper, Transformer, find_device  # noqa: E402
from automoe.nn.expert_loads import expert_loads  # noqa: E402
from automoe.progress import Progress  # noqa: E402
from automoe.space import Architecture  # noqa: E402
from automoe.version import __version__  # noqa: E402

ARCHITECTURES = HERE / "architectures.json"
BATCHES = (1, 32)
BEAM = 5
LENGTH = 20
"""Tokens of each sentence and of its translation, so decoding steps of each batch; the end symbols are counted."""
REPEATS, MAX_REPEATS, TOLERANCE = 5, 8, 0.02
"""As in `ProfileConfig`; five passes are the fewest whose spread is known."""
SEED = 1
"""Of weights, and of the sentences on which loads are counted."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The architectures to measure, in the order in which they are measured."""

    space_name: str
    space_digest: str
    vocab_size: int
    reference: Architecture
    """The smallest of the space, beside which all are timed."""
    architectures: tuple[Architecture, ...]


def read_sample(path: Path) -> Sample:
    """Reads what `make_architectures.py` wrote."""
    form = json.loads(path.read_text(encoding="utf-8"))
    archs = tuple(Architecture.from_dict(each) for each in form["architectures"])
    (reference,) = (arch for arch in archs if arch.digest == form["reference_digest"])
    return Sample(
        space_name=form["space_name"],
        space_digest=form["space_digest"],
        vocab_size=form["vocab_size"],
        reference=reference,
        architectures=archs,
    )


class Models:
    """Makes the models of architectures, and keeps the last one: each is measured in four tables.

    Args:
        vocab_size: entries of the vocabulary.
        device: where the models run.
    """

    def __init__(self, vocab_size: int, device: torch.device) -> None:
        self.device = device
        self._vocab_size = vocab_size
        source_BS = torch.tensor(random_panel([LENGTH] * 100, vocab_size, SEED).sources, device=device)
        self._sentences = [(source_BS, source_BS.roll(1, dims=1))]  # the target begins with the end symbol
        self._made: Callable[[Architecture], tuple[Transformer, ExpertLoads]] = lru_cache(maxsize=1)(self._make)

    def open(self, arch: Architecture, precision: str) -> TorchStepper:
        """The model of an architecture on the device, ready to decode."""
        return TorchStepper(deepcopy(self._made(arch)[0]).to(DTYPES[precision]))

    def loads(self, arch: Architecture) -> ExpertLoads:
        """Share of the tokens of random sentences that each expert gets, by layer, in float32."""
        return self._made(arch)[1]

    def _make(self, arch: Architecture) -> tuple[Transformer, ExpertLoads]:
        model = untrained(arch, vocab_size=self._vocab_size, pre_norm=True, seed=SEED).to(self.device)
        loads = {
            f"{side} {layer}": [round(count / sum(counts), 4) for count in counts]
            for (side, layer), counts in expert_loads(model, self._sentences).items()
        }
        return model, loads


class Table:
    """One of the four tables, with what measures its rows.

    Args:
        folder: where its files are.
        sample: what is measured.
        models: makes the models.
        device: "cpu" or "cuda", as `models` run on it.
        precision: what the models run in.
        batch: sentences translated together.

    Raises:
        DataError: its file is damaged, or was begun under other circumstances.
    """

    def __init__(self, folder: Path, sample: Sample, models: Models, device: str, precision: str, batch: int) -> None:
        self.path = folder / f"{device}_{precision}_batch{batch}.jsonl"
        self._models, self._precision = models, precision
        config = ProfileConfig(
            architectures=len(sample.architectures),
            sentences=batch,
            lengths=(LENGTH,),
            batch=batch,
            routing="even",
            device=device,
            backend="torch",
            precision=precision,
            repeats=REPEATS,
            max_repeats=MAX_REPEATS,
            tolerance=TOLERANCE,
        )
        panel = random_panel([LENGTH] * batch, sample.vocab_size, PANEL_SEED)
        self.writer = TableWriter(self.path, _header(sample, config, panel.digest))
        self._profiler = Profiler(
            self._open,
            panel,
            sample.reference,
            config,
            beam=BEAM,
            baseline_ms=self.writer.baseline_ms,
        )

    def lacks(self, arch: Architecture) -> bool:
        """Whether the architecture has not been measured yet."""
        return arch.digest not in self.writer.digests

    def measure(self, arch: Architecture) -> Measurement:
        """Adds the row of an architecture; it is on the disk afterwards."""
        row = self._profiler.measure(arch, self._models.loads(arch))
        self.writer.append(row)
        return row

    def finish(self) -> None:
        """Corrects the rows to the reference's average, and writes the CSV file if there are any."""
        if not self.writer.rows:
            return
        self.writer.settle()
        rows = [row.columns() for row in self.writer.rows]
        write_atomically(self.path.with_suffix(".csv"), csv_text(rows))

    def _open(self, arch: Architecture) -> TorchStepper:
        return self._models.open(arch, self._precision)


def _header(sample: Sample, config: ProfileConfig, panel_digest: str) -> TableHeader:
    versions = {"automoe": __version__, "python": platform.python_version(), "numpy": np.__version__}
    versions |= {"torch": torch.__version__, "cuda": str(torch.version.cuda)}
    return TableHeader(
        space_digest=sample.space_digest,
        space_name=sample.space_name,
        device=config.device_name,
        backend=config.backend,
        precision=config.precision,
        beam=BEAM,
        batch=config.batch,
        threads=config.threads,
        routing=config.routing,
        repeats=config.repeats,
        max_repeats=config.max_repeats,
        tolerance=config.tolerance,
        lengths=config.lengths,
        panel_digest=panel_digest,
        reference_digest=sample.reference.digest,
        machine=describe_machine(),
        versions=versions,
    )


def measure_together(
    tables: Sequence[Table], archs: Sequence[Architecture], *, end: float, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Measures architectures, each in all tables before the next one, until all are measured or the time is up.

    Args:
        tables: the tables.
        archs: the architectures; rows that a table has are passed over.
        end: time of the clock at which to be done; none is begun that would take longer than the slowest so far.
        clock: seconds, from any beginning.

    Returns:
        Whether all are measured.
    """
    total = len(tables) * len(archs)
    done = sum(not table.lacks(arch) for arch in archs for table in tables)
    slowest = 0.0
    with Progress("measuring", total=total, unit="row", done=done) as progress:
        for arch in archs:
            lacking = [table for table in tables if table.lacks(arch)]
            begin = clock()
            if lacking and begin + slowest > end:
                return False
            for table in lacking:
                row = table.measure(arch)
                progress.advance(note=f"{table.path.stem}: {row.latency_ms:.2f} ms a sentence")
            slowest = max(slowest, clock() - begin)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Measures 150 architectures of the space multi30k on a GPU.")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the tables; one that exists is gone on with"
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="after which to stop (default: 8)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu tries it out (default: cuda)")
    parser.add_argument("--rows", type=int, help="rows of each table (default: all architectures)")
    parser.add_argument("--architectures", type=Path, default=ARCHITECTURES, help="another list of them")
    given = parser.parse_args(arguments)
    try:
        return _profile(given)
    except AutoMoEError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _profile(given: argparse.Namespace) -> int:
    if given.minutes <= 0:
        raise ConfigError("--minutes", given.minutes, allowed="> 0")
    if given.rows is not None and given.rows < 1:
        raise ConfigError("--rows", given.rows, allowed=">= 1")
    device = find_device(given.device, "--device")
    torch.set_num_threads(1)  # the CPU only hands out work to a GPU, and cpu-1t is one thread
    given.out.mkdir(parents=True, exist_ok=True)
    sample = read_sample(given.architectures)
    models = Models(sample.vocab_size, device)
    tables = [
        Table(given.out, sample, models, given.device, precision, batch)
        for precision in ("bfloat16", "float32")
        for batch in BATCHES
    ]
    complete = measure_together(tables, sample.architectures[: given.rows], end=BEGIN + 60 * given.minutes)
    for table in tables:
        table.finish()
        print(f"{table.path}: {len(table.writer.rows)} rows")
    if not complete:
        print("the time is up: the same command again measures the rows that are missing")
    return 0


if __name__ == "__main__":
    sys.exit(main())
