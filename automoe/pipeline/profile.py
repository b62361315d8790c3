"""Stage `profile`: measures the latency of a sample of sub-transformers, each as it would be shipped.

It holds `table.jsonl`, a line a measurement, on the disk as soon as it is made; or a copy of the table that
`profile.table` names, and then `select` measures nothing either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from automoe.bundle import PRECISIONS
from automoe.cost import costs
from automoe.data import PreparedData
from automoe.errors import ConfigError
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
from automoe.pipeline.measuring import Bench, check_sentences, recorded_table
from automoe.pipeline.shipping import graphs_for
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.predictor import MIN_ROWS
from automoe.progress import Progress
from automoe.runtime.backend import find_backend
from automoe.space import Architecture, GenomeCodec, SearchSpace


@dataclass(frozen=True, kw_only=True)
class ProfilePart:
    """What the measurements depend on beside the data and the supernet."""

    space: SpacePart
    profile: ProfileConfig
    beam: int


def _part(config: RunConfig) -> ProfilePart:
    profile, part = config.profile, searched_part(config)
    find_backend(profile.backend, "profile.backend")  # a wrong name shall not wait for the training
    if profile.precision != PRECISIONS[0] and not graphs_for(profile.backend, profile.precision):
        raise ConfigError(
            "profile.precision",
            profile.precision,
            f"is not known to the backend {profile.backend}",
            allowed=PRECISIONS[0],
            hint="Set profile.backend=onnx",
        )
    if min(profile.architectures, part.space.num_architectures) < MIN_ROWS:
        raise ConfigError(
            "profile.architectures",
            profile.architectures,
            f"are too few to predict others from, or all of a space of {part.space.num_architectures} architectures",
            allowed=f">= {MIN_ROWS}",
        )
    if profile.table is not None:  # what is not read shall not be hashed
        profile = replace(profile, architectures=ProfileConfig.architectures, repeats=ProfileConfig.repeats)
    return ProfilePart(space=part, profile=profile, beam=config.decoding.beam)


def _fingerprint(part: ProfilePart) -> dict[str, str]:
    if part.profile.table is None:
        return {}
    table = recorded_table(Path(part.profile.table), part.space.space, part.profile, part.beam)
    return {"table": sha256_of(table.path)}


def _run(part: ProfilePart, inputs: Inputs, out: Path) -> None:
    space, config = part.space.space, part.profile
    prepared = PreparedData.open(inputs["data"])
    if config.table is not None:
        table = recorded_table(Path(config.table), space, config, part.beam)
        check_sentences(table, prepared, space, config)
        write_atomically(out / TABLE_FILE, table.path.read_bytes())
        return
    supernet = trained_model(inputs["supernet"])
    bench = Bench(supernet, prepared, space, config, part.beam, out)
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
