"""Whether the times of a table can be milliseconds: a table in seconds is a thousand times too fast."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from automoe.cost import costs
from automoe.errors import AutoMoEError
from automoe.latency.measurement import Measurement
from automoe.latency.table_header import TableHeader

_STEP_S = 1e-5
"""Less than a decoding step can take: the search alone takes 2e-5 s, with a model that takes no time."""
_FLOPS_PER_S = 1e12
"""More than a core does while it decodes. In float32 the fastest reach 3e11 in large matrix products, with int8 more,
but the few rows of a decoding step wait for the weights to come from memory. We saw 4e10 at most."""
_TOKENS = 10
"""Length that real sentences are taken to have, which the table does not tell; most have more."""


def check_milliseconds(header: TableHeader, rows: Sequence[Measurement]) -> None:
    """Checks that the middle row of a table takes as long as a machine needs at least.

    Raises:
        AutoMoEError: it does not, so its times are hardly milliseconds.
    """
    middle = sorted(rows, key=lambda row: row.latency_ms)[(len(rows) - 1) // 2]
    least = _least_ms(header, middle)
    if middle.latency_ms < least:
        raise AutoMoEError(
            f"is too short for milliseconds (the middle one of {len(rows)} rows)",
            key="latency_ms",
            value=middle.latency_ms,
            allowed=f">= {least:.2g}",
            hint="If the table is in seconds, multiply each _ms of its rows and of its header by 1000",
        )


def _least_ms(header: TableHeader, row: Measurement) -> float:
    """What a sentence takes at least: its steps, which a batch shares, and on a CPU its FLOPs (without a beam)."""
    tokens = _TOKENS if header.lengths is None else round(fmean(header.lengths))
    seconds = tokens * _STEP_S / header.batch
    if header.device.startswith("cpu"):
        work = costs(row.arch, vocab_size=1, pre_norm=True, source_tokens=tokens, target_tokens=tokens)
        seconds += work.flops / (_FLOPS_PER_S * header.threads)  # the projection to the vocabulary stands apart
    return 1000 * seconds
