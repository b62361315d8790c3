"""Expected executed FLOPs learnt from a measured table, and how well, beside the value at uniform load."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from automoe.cost.executed import ExpertLoads, executed_expert_flops, loads_from_json
from automoe.errors import AutoMoEError
from automoe.predictor.calibration import MIN_ROWS
from automoe.predictor.executed_flops import LEARNT, UNIFORM, ExecutedFlops, executed_values
from automoe.predictor.report import FitReport, fit_report
from automoe.space import Architecture


class RowWithLoads(Protocol):
    """A row of a measured table."""

    @property
    def arch(self) -> Architecture:
        """The architecture."""

    @property
    def expert_loads(self) -> Mapping[str, Sequence[float]] | None:
        """By "encoder 0" the share of the tokens that each expert gets; None where it is not known."""


def loads_of_rows(rows: Iterable[RowWithLoads]) -> dict[Architecture, ExpertLoads]:
    """The loads of the rows that tell theirs, checked.

    Raises:
        AutoMoEError: loads that are not of their architecture.
    """
    found: dict[Architecture, ExpertLoads] = {}
    for row in rows:
        if row.expert_loads is None:
            continue
        arch = row.arch
        try:
            found[arch] = loads_from_json(row.expert_loads)
            executed_expert_flops(arch, found[arch])
        except (ValueError, TypeError, AttributeError) as error:
            raise AutoMoEError(
                f"the loads of architecture {arch.digest} are not its own ({error})",
                key="expert_loads",
                hint="Remove the row; `profile` measures it again",
            ) from error
    return found


def learn_executed_flops(
    rows: Iterable[RowWithLoads], *, coverage: float = 0.9, folds: int = 10, seed: int = 1
) -> ExecutedFlops:
    """Learns expected executed FLOPs from the rows of a measured table that tell their loads.

    Args:
        rows: of the table; they should have been routed by trained weights.
        coverage, folds, seed: of the intervals, as for `CalibratedPredictor`.

    Raises:
        AutoMoEError: no row tells its loads, or some are not of their architecture.
    """
    predictor = ExecutedFlops(loads_of_rows(rows), coverage=coverage, folds=folds, seed=seed)
    predictor.fit_loads()
    return predictor


def executed_reports(
    rows: Iterable[RowWithLoads], *, coverage: float = 0.9, folds: int = 10, seed: int = 1
) -> dict[str, FitReport]:
    """How well the expert layers' executed FLOPs are predicted, by `LEARNT` shares and at `UNIFORM` load.

    It looks at architectures with experts of unequal width: of others the value is known. Errors are of the expert
    layers alone, since what surrounds them is known too.

    Args:
        rows: of the table.
        coverage, folds, seed: as for `fit_report`.

    Returns:
        A report for each; none if there are fewer than `MIN_ROWS` such architectures, or all execute the same.

    Raises:
        AutoMoEError: some loads are not of their architecture.
    """
    loads = {arch: load for arch, load in loads_of_rows(rows).items() if has_unequal_experts(arch)}
    values_N = executed_values(loads, experts_only=True)
    if len(loads) < MIN_ROWS or np.ptp(values_N) == 0:
        return {}

    def make(kind: str) -> ExecutedFlops:
        return ExecutedFlops(loads, kind=kind, experts_only=True, coverage=coverage, folds=folds, seed=seed)

    archs = list(loads)
    return {
        kind: fit_report(lambda kind=kind: make(kind), archs, values_N, folds, seed)  # type: ignore[misc]
        for kind in (LEARNT, UNIFORM)
    }


def executed_form(predictor: ExecutedFlops, reports: Mapping[str, FitReport]) -> dict[str, Any]:
    """The JSON form of both, for the file `executed.json`; `ExecutedFlops.from_dict` reads its key `predictor`."""
    return {
        "predictor": predictor.to_dict(),
        "reports": {kind: report.to_dict() for kind, report in reports.items()},
    }


def executed_row(predictor: ExecutedFlops, arch: Architecture) -> tuple[str, int, str]:
    """A row for a table of costs: name, expected FLOPs, and a note with the interval."""
    prediction = predictor.predict([arch])
    mean, lower, upper = (
        round(float(each_N[0])) for each_N in (prediction.mean_N, prediction.lower_N, prediction.upper_N)
    )
    note = "expected, as trained routers load the experts"
    if lower < upper:
        share = f"{100 * predictor.coverage:g} % of architectures lie" if predictor.promises else "perhaps"
        note += f"; {share} within {lower:,} to {upper:,}"
        if not predictor.promises:
            note += f", since it learnt from too few to promise {100 * predictor.coverage:g} %"
    if unseen := predictor.outside([arch])[0]:
        note += f"; a guess, nothing was seen of {', '.join(unseen)}"
    return "FLOPs executed", mean, note


def has_unequal_experts(arch: Architecture) -> bool:
    """Whether what an architecture executes depends on its routing: some layer's experts are not of one width."""
    return any(len(set(layer.expert_widths)) > 1 for _, _, layer in arch.layers())
