"""The budgets of a run, held against the least that its space can reach, as soon as that is known.

Exact costs are known from the vocabulary's size on, latency from the predictor on: nobody waits for a search whose
budget nothing can keep.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automoe.cost import costs
from automoe.data import PreparedData
from automoe.files import read_json
from automoe.pipeline.config import RunConfig
from automoe.pipeline.files import BOUNDS, PREDICTOR_FILE
from automoe.pipeline.spaces import space_part
from automoe.search import (
    LATENCY,
    Estimate,
    Limit,
    ResolvedLimit,
    check_feasible,
    in_budget_units,
    resolve,
    shown_cost,
    space_begins,
)
from automoe.space import SearchSpace


def feasible_limits(budget: tuple[Limit, ...], space: SearchSpace, predictor: Path) -> tuple[ResolvedLimit, ...]:
    """The budget in the units of its costs.

    Args:
        budget: the limits.
        space: what is searched.
        predictor: finished folder of the stage `predictor`.

    Raises:
        ConfigError: no architecture of the space can keep it.
    """
    bounds: Mapping[str, Any] = read_json(predictor / BOUNDS)
    coverage = read_json(predictor / PREDICTOR_FILE)["coverage"]
    limits = resolve(budget, bounds["largest"], coverage=coverage)
    least = {limit.cost: limit.lower(Estimate(*bounds["minima"][limit.cost])) for limit in limits}
    check_feasible(limits, {cost: (value, bounds["begins"]) for cost, value in least.items()}, space.name)
    return limits


def refuse_after_data(config: RunConfig, budget: tuple[Limit, ...], data: Path) -> None:
    """Refuses limits on exact costs that the floor of the space breaks, below which no architecture is.

    What is searched can lie above the floor as a whole; a limit between the two is not refused here.

    Raises:
        ConfigError: the first such limit.
    """
    space = space_part(config).space
    sizes: dict[str, Any] = {
        "vocab_size": PreparedData.open(data).summary.vocab_size,
        "pre_norm": config.model.pre_norm,
    }
    least, largest = (in_budget_units(costs(arch, **sizes).to_dict()) for arch in (space.floor(), space.largest()))
    exact = resolve([limit for limit in budget if limit.cost != LATENCY], largest)
    begins = space_begins(space)
    check_feasible(exact, {cost: (value, begins) for cost, value in least.items()}, space.name)


def refuse_after_predictor(config: RunConfig, budget: tuple[Limit, ...], predictor: Path) -> None:
    """Refuses a budget that no architecture of the space can keep, and names limits that limit nothing.

    Raises:
        ConfigError: the first limit that none can keep.
    """
    space = space_part(config).space
    largest = read_json(predictor / BOUNDS)["largest"]
    for limit in feasible_limits(budget, space, predictor):
        if limit.max > largest[limit.cost]:  # it may have been meant in another unit
            print(
                f"{limit.key}={limit.given:g} limits nothing: the largest architecture of space {space.name!r} takes "
                f"{shown_cost(limit.cost, largest[limit.cost])}",
                file=sys.stderr,
                flush=True,
            )
