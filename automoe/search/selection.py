"""`Selection`: the architecture that was chosen under a budget, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from automoe.search.budget import ResolvedLimit
from automoe.search.costs import LATENCY
from automoe.search.evaluator import Estimate
from automoe.search.record import Record


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The choice under a budget."""

    record: Record
    """What was chosen."""
    limits: tuple[ResolvedLimit, ...]
    """The budget, as it was given."""
    measured: Mapping[str, Estimate]
    """Measured latency in ms per sentence, by digest, in the order of measuring."""
    reasons: tuple[str, ...]
    """What was done and why, a sentence each, for people."""
    runner_ups: tuple[Record, ...]
    """The next best that keep the budget, best first."""
    refitted: Mapping[str, Estimate] = field(default_factory=dict)
    """Latency of all that was evaluated, by digest, as the predictor says it after it learnt from the measurements;
    empty if it did not."""

    @property
    def costs(self) -> dict[str, Estimate]:
        """The costs of the choice, the latency as it was measured if it was."""
        return costs_of(self.record, self.measured)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; `architecture` is read by `Architecture.from_dict`."""
        return {
            "digest": self.record.digest,
            "architecture": self.record.arch.to_dict(),
            "loss": self.record.loss,
            "costs": {name: list(estimate) for name, estimate in self.costs.items()},
            "budget": [limit.to_dict() for limit in self.limits],
            "measured": {digest: list(estimate) for digest, estimate in self.measured.items()},
            "reasons": list(self.reasons),
            "runner_ups": [record.to_dict() for record in self.runner_ups],
            **({"refitted": {name: list(each) for name, each in self.refitted.items()}} if self.refitted else {}),
        }


def costs_of(record: Record, measured: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """The costs of a record, its latency as it was measured if it was."""
    latency = {LATENCY: measured[record.digest]} if record.digest in measured else {}
    return {**record.costs, **latency}
