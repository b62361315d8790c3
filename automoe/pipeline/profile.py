"""Stage `profile`: measures the latency of a sample of sub-transformers, each as it would be shipped.

It holds `table.jsonl`, a line a measurement, on the disk as soon as it is made; or a copy of the table that
`profile.table` names, and then nothing is measured later on either.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from automoe.cost import costs
from automoe.data import PreparedData
from automoe.files import sha256_of, write_atomically
from automoe.latency import (
    TABLE_FILE,
    Measurement,
    ProfileConfig,
    TableWriter,
    choose_architectures,
    measure_missing,
)
from automoe.nn import Transformer
from automoe.pipeline.config import RunConfig
from automoe.pipeline.measuring import Bench, recorded_table
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.progress import Progress
from automoe.runtime.backend import find_backend
from automoe.space import Architecture, GenomeCodec, SearchSpace


@dataclass(frozen=True, kw_only=True)
class ProfilePart:
    """What the measurements depend on beside the data and the supernet."""

    space: SpacePart
    profile: ProfileConfig


def _part(config: RunConfig) -> ProfilePart:
    find_backend(config.profile.backend, "profile.backend")  # a wrong name shall not wait for the training
    return ProfilePart(space=searched_part(config), profile=config.profile)


def _fingerprint(part: ProfilePart) -> dict[str, str]:
    if part.profile.table is None:
        return {}
    table = recorded_table(Path(part.profile.table), part.space.space, part.profile)
    return {"table": sha256_of(table.path)}


def _run(part: ProfilePart, inputs: Inputs, out: Path) -> None:
    space, config = part.space.space, part.profile
    if config.table is not None:
        write_atomically(out / TABLE_FILE, Path(config.table).read_bytes())
        return
    supernet = trained_model(inputs["supernet"])
    bench = Bench(supernet, PreparedData.open(inputs["data"]), space, config, out)
    writer = TableWriter(out / TABLE_FILE, bench.header)
    chosen = chosen_architectures(space, config.architectures, supernet, inputs.seed)
    if missing := [arch for arch in chosen if arch.digest not in writer.digests]:
        _measure(missing, bench, writer)
    writer.settle()


def _measure(missing: list[Architecture], bench: Bench, writer: TableWriter) -> None:
    done = len(writer.rows)
    with Progress("measuring", total=done + len(missing), unit="sub-transformer", done=done) as progress:

        def shown(row: Measurement) -> None:
            progress.advance(note=f"{row.latency_ms:.1f} ms a sentence")

        profiler = bench.profiler(writer.baseline_ms)
        measure_missing(missing, profiler, writer, expert_loads=bench.loads, on_measured=shown)


def chosen_architectures(space: SearchSpace, count: int, supernet: Transformer, seed: int) -> list[Architecture]:
    """The sub-transformers to measure, the largest first."""
    codec = GenomeCodec(space)
    config = supernet.config

    def flops(arch: Architecture) -> float:
        return costs(arch, vocab_size=config.vocab_size, pre_norm=config.pre_norm).flops

    return choose_architectures(
        lambda num, rng: [codec.decode(genome_G) for genome_G in codec.sample(num, rng)],
        space.largest(),
        space.smallest(),
        count,
        flops,
        seed,
    )


PROFILE = Stage(name="profile", run=_run, part=_part, needs=("data", "supernet"), fingerprint=_fingerprint)
