"""`Measurement`: one row of a measured table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from automoe.errors import AutoMoEError, SpaceError
from automoe.space import Architecture

DRIFT_LIMIT = 0.1
"""A row is called drifted when the reference took this share more or less than on the table's average. The correction
takes away half of a drift or more (a model and the reference do not slow down quite alike): of a tenth up to 5 % may
be left."""
BETWEEN_SESSIONS = 0.02
"""Share by which measurements of one model usually differ that were made at different times: on a shared machine half
of them by less than 1.8 %, and a tenth by more than 8 % (`experiments/benchmarks/latency`)."""
_TIMES = ("latency_ms", "encoder_ms", "low_ms", "high_ms", "reference_ratio", "raw_ms", "reference_ms")
_COLUMNS = (
    *("digest", "latency_ms", "encoder_ms", "decoder_ms", "low_ms", "high_ms", "spread", "reference_ratio"),
    *("raw_ms", "reference_ms", "drift", "drifted", "repeats", "steps", "distinct_beams"),
)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How long one architecture takes for a sentence of the panel, on average over the sentences.

    Raises:
        AutoMoEError: a time is no positive number, or the architecture is not the one of the digest.
    """

    digest: str
    """Digest of the architecture."""
    architecture: dict[str, Any]
    """The architecture, in its JSON form."""
    latency_ms: float
    """Corrected for drift: `reference_ratio` times the baseline of the table, what the reference took."""
    encoder_ms: float
    """What of `latency_ms` the encoder takes; median share over the passes."""
    low_ms: float
    """The fastest pass, corrected likewise."""
    high_ms: float
    """The slowest pass, corrected likewise."""
    spread: float | None
    """Half the width of the 90 % interval of `reference_ratio`, as a share of it, when the passes ended; None with
    fewer than 5 passes. It knows nothing of other sessions: see `median_interval.half_width`."""
    reference_ratio: float
    """How many times as long as the reference architecture beside it; median over the passes."""
    raw_ms: float
    """As the clock showed it; median over the passes."""
    reference_ms: float
    """What the reference took beside it, as the clock showed it; median over the passes."""
    repeats: int
    """Passes over the panel."""
    steps: int
    """Decoding steps of one pass; sentences that are translated together share theirs."""
    expert_loads: dict[str, Any] | None
    """Share of the tokens that each expert gets, by layer, where the caller knows it from trained weights."""
    distinct_beams: float
    """Share of the decoding steps in which no two hypotheses of a sentence are alike; see `BeamWatch`."""

    def __post_init__(self) -> None:
        for name in _TIMES:
            if not _is_number(getattr(self, name)) or getattr(self, name) <= 0:
                raise AutoMoEError("is not a positive number", key=name, value=getattr(self, name), allowed="> 0")
        if self.encoder_ms >= self.latency_ms:
            allowed = f"< latency_ms ({self.latency_ms})"
            raise AutoMoEError("leaves the decoder no time", key="encoder_ms", value=self.encoder_ms, allowed=allowed)
        if self.spread is not None and (not _is_number(self.spread) or self.spread < 0):
            raise AutoMoEError("is no spread", key="spread", value=self.spread, allowed=">= 0, or null")
        for name in ("repeats", "steps"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise AutoMoEError("is not a whole number above 0", key=name, value=getattr(self, name))
        if not _is_number(self.distinct_beams) or not 0 <= self.distinct_beams <= 1:
            raise AutoMoEError("is not a share", key="distinct_beams", value=self.distinct_beams, allowed="0 to 1")
        if not self.low_ms <= self.latency_ms <= self.high_ms:
            raise AutoMoEError(
                "lies outside low_ms and high_ms",
                key="latency_ms",
                value=self.latency_ms,
                allowed=f"{self.low_ms} to {self.high_ms}",
            )
        if self.arch.digest != self.digest:
            raise AutoMoEError(
                "is not the digest of the architecture beside it",
                key="digest",
                value=self.digest,
                allowed=self.arch.digest,
            )

    @property
    def decoder_ms(self) -> float:
        """What of `latency_ms` is not the encoder's: the decoder and the search."""
        return self.latency_ms - self.encoder_ms

    @property
    def drift(self) -> float:
        """What the reference took beside this row over the baseline of the table: above 1 the machine was slower."""
        return self.reference_ms * self.reference_ratio / self.latency_ms

    @property
    def drifted(self) -> bool:
        """Whether the machine's speed was so unusual that the correction may have left something: `DRIFT_LIMIT`."""
        return abs(self.drift - 1) > DRIFT_LIMIT

    def bounds(self) -> tuple[float, float, float]:
        """The latency and the bounds of what another measurement would usually find, in milliseconds per sentence.

        Within its session the median is known to `spread`, and lies among the passes; few passes tell no more.
        The more passes there are, the further off is the slowest, which says nothing of the median. Another session
        differs besides.
        """
        median, between = self.latency_ms, BETWEEN_SESSIONS * self.latency_ms
        within = math.inf if self.spread is None else self.spread * median
        return median, max(self.low_ms, median - within) - between, min(self.high_ms, median + within) + between

    def columns(self) -> dict[str, Any]:
        """What a frame or a CSV file shows: what was measured, then sizes; docs/latency.md explains each column."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in _COLUMNS}
        arch = self.arch
        for name, side in (("encoder", arch.encoder), ("decoder", arch.decoder)):
            columns[f"{name}_dim"] = side.dim
            columns[f"{name}_layers"] = len(side.layers)
            columns[f"{name}_experts"] = sum(layer.num_experts for layer in side.layers)
        return columns

    @property
    def arch(self) -> Architecture:
        """The architecture that was measured."""
        try:
            return Architecture.from_dict(self.architecture)
        except (SpaceError, KeyError, TypeError) as error:
            raise AutoMoEError(f"is no architecture ({error})", key="architecture") from error

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Measurement:
        """Reads the JSON form of `to_dict`; keys that are not known are left aside.

        Raises:
            AutoMoEError: a column is missing, or a value is none.
        """
        names = [field.name for field in fields(cls)]
        if missing := [name for name in names if name not in form]:
            raise AutoMoEError("the column is missing", key=missing[0])
        return cls(**{name: form[name] for name in names})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
