"""The routers' loads on their way through fairseq: sums under flat names, and the reports that come of them.

fairseq adds up what a step logs over batches and processes, as scalars under names that are the same everywhere. So
every expert's count travels by itself, and statistics are made at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from automoe.nn.router_report import router_report
from automoe.nn.transformer import Routings

_LOAD, _DROPPED = "load:", "dropped:"
_DIGITS = 4
_TOO_MUCH = 0.5
"""Share of dropped pairs above which a layer's experts hardly learn."""


def router_counts(routings: Routings) -> dict[str, Tensor]:
    """The counts of every expert layer, a scalar each: `load:encoder 0:3` for its expert 3, `dropped:encoder 0`.

    The latter only where experts have limited room. Nothing here waits for a GPU.
    """
    counts = {}
    for (side, layer), routing in routings.items():
        for expert, load in enumerate(routing.loads_E().unbind()):
            counts[f"{_LOAD}{side} {layer}:{expert}"] = load
        if routing.room is not None:
            counts[f"{_DROPPED}{side} {layer}"] = routing.dropped()
    return counts


def is_router_count(name: str) -> bool:
    """Whether `router_counts` gave this name."""
    return name.startswith((_LOAD, _DROPPED))


def router_reports(sums: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """The reports that `training.jsonl` holds, by layer ("encoder 0"), rounded.

    Args:
        sums: of the counts of `router_counts`, over any batches of one architecture.
    """
    loads: dict[str, list[float]] = {}
    for name, total in sums.items():  # experts follow each other in order
        if name.startswith(_LOAD):
            loads.setdefault(name.removeprefix(_LOAD).rpartition(":")[0], []).append(total)
    reports = {}
    for layer, of_layer in loads.items():
        report = asdict(router_report(of_layer, sums.get(_DROPPED + layer, 0.0)))
        shares = [round(share, _DIGITS) for share in report.pop("loads")]
        reports[layer] = {"loads": shares} | {name: round(value, _DIGITS) for name, value in report.items()}
    return reports


@dataclass
class DropWatch:
    """Notices layers whose experts have no room for most of what their routers send them, each layer once.

    It looks at what `training.jsonl` records: one update in so many, and of a supernet the one sub-transformer whose
    routers are logged. A layer that drops its tokens between these updates, or only in others, goes unnoticed.
    """

    told: set[str] = field(default_factory=set)
    """Layers that were named before."""

    def warnings(self, update: int, reports: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        """A line for each layer of a step's `router_reports` that drops most of its tokens and was not named yet."""
        for layer, report in reports.items():
            if report["dropped"] > _TOO_MUCH and layer not in self.told:
                self.told.add(layer)
                yield (
                    f"update {update}: {report['dropped']:.0%} of the tokens found no room in the experts of {layer} "
                    "and passed them by. Raise model.capacity_factor, or set it to null"
                )
