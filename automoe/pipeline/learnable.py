"""`Learnable`: a measured table as a predictor sees it, whoever measured it, with what is known of its flaws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from automoe.latency import MeasuredTable
from automoe.latency.any_table import read_any_table
from automoe.latency.hat_table import PublishedTable
from automoe.latency.stretches import contaminated_stretches
from automoe.predictor import Described


@dataclass(frozen=True, kw_only=True)
class Learnable:
    """What is learnt from. Shape suffixes: N rows."""

    label: str
    described: Described
    latency_ms_N: npt.NDArray[np.float64]
    noise_percent: float | None
    """Half the width of a row's 90 % interval within its session, the median of the rows; None if none tells."""
    flaws: tuple[str, ...]
    """What is wrong with rows, in sentences. They are learnt from nevertheless."""

    @classmethod
    def of(cls, table: MeasuredTable | PublishedTable) -> Learnable:
        """The table, and what is found out about its rows."""
        spreads, flaws = [], []
        if isinstance(table, MeasuredTable):
            spreads = [row.spread for row in table.rows if row.spread is not None]
            drifted = [number for number, row in enumerate(table.rows, start=1) if row.drifted]
            if drifted:
                flaws.append(
                    f"the machine's speed was unusual while {_rows(drifted)} of {len(table)} were measured: the "
                    "correction may have left something of it"
                )
        elif table.ignored:
            flaws.append(f"columns that are not read: {', '.join(table.ignored)}")
        flaws += [
            f"{_rows(range(stretch.first + 1, stretch.last + 2))} of {len(table)} took {stretch.ratio:.2f} times as "
            f"long as the others let expect: the machine was {'slower' if stretch.ratio > 1 else 'faster'} meanwhile"
            for stretch in contaminated_stretches(table.described, table.latency_ms_N)
        ]
        return cls(
            label=table.label,
            described=table.described,
            latency_ms_N=table.latency_ms_N,
            noise_percent=100 * float(np.median(spreads)) if spreads else None,
            flaws=tuple(flaws),
        )

    @classmethod
    def read(cls, path: Path) -> Learnable:
        """Reads a table of ours or a published one.

        Raises:
            DataError: it is missing or damaged, or no table.
        """
        return cls.of(read_any_table(path))


def _rows(numbers: Sequence[int]) -> str:
    """ "row 4", "rows 1 to 3, 7": what follows each other is drawn together."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    shown = ", ".join(" to ".join(map(str, part)) for part in parts)
    return f"row{'s' * (len(numbers) > 1)} {shown}"
