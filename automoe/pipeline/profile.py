"""Stage `profile`: measures the latency of a sample of sub-transformers, each as it would be shipped.

Most of them are spread evenly over depth and size. When those are measured, a predictor learns from them, and the
others are the ones that it knows least about (`profile.doubts`).

It holds `table.jsonl`, a line a measurement, on the disk as soon as it is made; or a copy of the table that
`profile.table` names, and then `select` measures nothing either.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
from automoe.pipeline.measuring import Bench, check_measurable, check_sentences, recorded_table, what_is_asked
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.predictor import MIN_ROWS
from automoe.predictor.doubt import most_doubtful
from automoe.progress import Progress
from automoe.runtime.backend import find_backend, graphs_for
from automoe.space import Architecture, GenomeCodec, SearchSpace

_CANDIDATES = 400
"""Architectures that are drawn for a predictor to doubt."""


@dataclass(frozen=True, kw_only=True)
class ProfilePart:
    """What the measurements depend on beside the data and the supernet."""

    space: SpacePart
    profile: ProfileConfig
    beam: int


def _part(config: RunConfig) -> ProfilePart:
    profile, part = config.profile, searched_part(config)
    # What is wrong shall not wait for the training.
    find_backend(profile.backend, "profile.backend")
    graphs_for(profile.backend, profile.precision, "profile.precision")
    if min(profile.architectures, part.space.num_architectures) < MIN_ROWS:
        raise ConfigError(
            "profile.architectures",
            profile.architectures,
            f"are too few to predict others from, or all of a space of {part.space.num_architectures} architectures",
            allowed=f">= {MIN_ROWS}",
        )
    return ProfilePart(space=part, profile=what_is_asked(profile), beam=config.decoding.beam)


def _check(part: ProfilePart) -> None:
    if part.profile.table is None:
        check_measurable(part.profile)


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
    profiler = bench.profiler(writer.baseline_ms)
    total = min(config.architectures, space.num_architectures)
    with Progress("measuring", total=total, unit="sub-transformer", done=len(writer.rows)) as progress:

        def measure(archs: list[Architecture]) -> None:
            measure_missing(archs, profiler, writer, expert_loads=bench.loads, on_measured=shown)

        def shown(row: Measurement) -> None:
            progress.advance(note=f"{row.latency_ms:.1f} ms a sentence")

        num_doubtful = min(round(config.doubts * config.architectures), config.architectures - MIN_ROWS)
        spread = chosen_architectures(space, config.architectures - num_doubtful, supernet, inputs.seed)
        measure(spread)
        measure(doubtful_architectures(space, spread, writer.rows, num_doubtful, inputs.seed))
    writer.settle()


def chosen_architectures(space: SearchSpace, count: int, supernet: Transformer, seed: int) -> list[Architecture]:
    """Sub-transformers that are spread evenly over the space, the largest first."""
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


def doubtful_architectures(
    space: SearchSpace, measured: Sequence[Architecture], rows: Sequence[Measurement], count: int, seed: int
) -> list[Architecture]:
    """Sub-transformers of which a predictor is least sure that learns from those that were measured.

    The same whenever they are asked for: what was measured after `measured` is not looked at, and no latency, which
    changes with the baseline of the table, but the ratio to the reference.

    Args:
        space: where to look for them.
        measured: what the predictor learns from.
        rows: measurements, theirs among them.
        count: how many are wanted.
        seed: another seed draws other candidates.

    Returns:
        `count` of them, or fewer if the space has (about) fewer.
    """
    codec, rng = GenomeCodec(space), np.random.default_rng([seed, zlib.crc32(b"doubts"), 0])
    drawn = dict.fromkeys(codec.decode_all(codec.sample(_CANDIDATES, rng)))
    known = set(measured)
    candidates = [arch for arch in drawn if arch not in known]
    count = min(count, len(candidates))
    if count == 0:
        return []
    ratio_of = {row.arch: row.reference_ratio for row in rows}
    values_N = np.array([ratio_of[arch] for arch in measured])
    return [candidates[index] for index in most_doubtful(measured, values_N, candidates, count)]


PROFILE = Stage(
    name="profile",
    run=_run,
    part=_part,
    needs=("data", "supernet"),
    check=_check,
    fingerprint=_fingerprint,
    version=2,
)
