"""`Problem`: what a search looks for: in which space, what is to be made small, and what may never be exceeded.

Shape suffixes: N architectures or records, G genes, M objectives, Q of them qualities, C costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from automoe.errors import ConfigError, did_you_mean
from automoe.search.budget import ResolvedLimit, used_share
from automoe.search.costs import COSTS, FLOPS, LATENCY
from automoe.search.evaluator import CostPredictor, Estimate, Floats, estimates_of
from automoe.search.record import Record, quality_of
from automoe.space import Architecture, GenomeCodec

QUALITIES = ("loss", "bleu")
"""What evaluating an architecture gives: the validation loss in nats per token, and BLEU where it is an objective."""
OBJECTIVES = (*QUALITIES, *COSTS)
_ENUMERABLE = 100_000
"""Architectures of a space that is searched through to its last one."""
_CHUNK = 4096
_DECIMALS = 6
"""A guess is rounded, so that the last bits of a matrix product, which differ between machines, decide nothing."""

FitQuality = Callable[[Sequence[Architecture], NDArray[np.float64]], Callable[[Sequence[Architecture]], Floats]]
"""Learns a quality (lower is better) from architectures and their values; what it returns guesses that of others."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """What a search looks for; a value."""

    codec: GenomeCodec
    """Of the space."""
    predict_costs: CostPredictor
    """What architectures cost; it must give `flops_g`, the costs of `objectives` and of `limits`."""
    objectives: tuple[str, ...] = ("loss", LATENCY, FLOPS)
    """Names out of `OBJECTIVES`; lower is better for all of them but BLEU. The first of `QUALITIES` among them is
    what proposals are guessed by."""
    limits: tuple[ResolvedLimit, ...] = ()
    """What is never evaluated: architectures whose predicted costs exceed one of these."""
    fit_quality: FitQuality | None = None
    """Guesses the quality of architectures from those evaluated so far, to choose among proposals. What it guesses is
    never recorded. None: proposals are taken as they come."""
    screen: int = 16
    """Proposals whose quality is guessed, for each that is evaluated; 1 takes them as they come."""

    def __post_init__(self) -> None:
        check_objectives(self.objectives)
        if self.screen < 1:
            raise ConfigError("search.screen", self.screen, allowed=">= 1")

    @property
    def qualities(self) -> tuple[str, ...]:
        """The objectives that evaluating tells."""
        return tuple(name for name in self.objectives if name in QUALITIES)

    @property
    def costs(self) -> tuple[str, ...]:
        """The objectives that are predicted."""
        return tuple(name for name in self.objectives if name in COSTS)

    @cached_property
    def genome_NG(self) -> NDArray[np.int64] | None:
        """All architectures of the space as canonical genomes of shape (N, G); None if they are too many to list."""
        census = self.codec.space.census
        return census.enumerate() if census.num_architectures <= _ENUMERABLE else None

    def estimates(self, archs: Sequence[Architecture]) -> list[dict[str, Estimate]]:
        """The predicted costs of architectures, one by one."""
        return estimates_of(self.predict_costs(archs), len(archs)) if archs else []

    def keeps(self, costs: Mapping[str, Estimate]) -> bool:
        """Whether an architecture of these predicted costs is within all limits."""
        return not self.limits or used_share(costs, self.limits) <= 1

    def is_exhausted(self, archs: Sequence[Architecture]) -> bool:
        """Whether it is certain that beside these architectures none keeps the limits.

        False also where there are too many architectures to look at each of them.
        """
        if self.genome_NG is None:
            return False
        seen = {self.codec.encode(arch).tobytes() for arch in archs}
        unseen = [genome_G for genome_G in self.genome_NG if genome_G.tobytes() not in seen]
        if not self.limits or not unseen:
            return not unseen
        chunks = (np.stack(unseen[begin : begin + _CHUNK]) for begin in range(0, len(unseen), _CHUNK))
        return not any(
            self.keeps(costs) for genome_NG in chunks for costs in self.estimates(self.codec.decode_all(genome_NG))
        )

    def quality_NQ(self, records: Sequence[Record]) -> Floats:
        """Float64 of shape (N, Q), lower is better: the loss, 100 - BLEU."""
        columns = [[quality_of(record, name) for record in records] for name in self.qualities]
        return np.array(columns, dtype=np.float64).reshape(len(columns), len(records)).T

    def values(self, records: Sequence[Record]) -> Floats:
        """The objectives, qualities first, then costs.

        Returns:
            float64 of shape (N, M), lower is better: `quality_NQ`, and the logarithm of each cost's mean. The
            logarithm changes no order; it spreads cheap architectures as evenly as costly ones.
        """
        return np.concatenate([self.quality_NQ(records), self.log_costs([r.costs for r in records])], axis=1)

    def log_costs(self, costs: Sequence[Mapping[str, Estimate]]) -> Floats:
        """The logarithm of the mean of each cost that is an objective; float64 of shape (N, C)."""
        rows = [[math.log(each[name].mean) for name in self.costs] for each in costs]
        return np.array(rows, dtype=np.float64).reshape(len(costs), len(self.costs))

    def guess(self, known: Sequence[Record], archs: Sequence[Architecture]) -> Floats | None:
        """The guessed first quality of `archs`, float64 of shape (N,); None where nothing can guess.

        For people the numbers mean nothing, their order does.
        """
        if self.fit_quality is None or not self.qualities or not known:
            return None
        if not archs:
            return np.zeros(0)
        name = self.qualities[0]
        values_N = np.array([quality_of(record, name) for record in known], dtype=np.float64)
        return np.round(self.fit_quality([record.arch for record in known], values_N)(archs), _DECIMALS)


def first_quality(objectives: Sequence[str]) -> str:
    """What is best among architectures that keep a budget: the first quality of these objectives, else the loss."""
    return next((name for name in objectives if name in QUALITIES), "loss")


def check_objectives(objectives: Sequence[str], key: str = "search.objectives") -> None:
    """Checks the names of objectives.

    Raises:
        ConfigError: there is none, one is unknown, or one is named twice.
    """
    if not objectives:
        raise ConfigError(key, [], "names nothing", allowed=", ".join(OBJECTIVES))
    for name in objectives:
        if name not in OBJECTIVES:
            hint = did_you_mean(name, OBJECTIVES)
            raise ConfigError(key, name, "is no objective", allowed=", ".join(OBJECTIVES), hint=hint)
    if len(set(objectives)) < len(objectives):
        raise ConfigError(key, list(objectives), "names an objective twice")
