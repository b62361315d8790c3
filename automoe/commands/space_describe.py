"""`automoe space describe FILE`: how large a space is, what is chosen in it, what it costs, what keeps a budget.

Of a space that is too large to go through architectures are drawn, each with the same probability and always with
seed 0: the same file and options print the same.

Shape suffixes: N genomes, G genes of a genome.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from automoe.commands.cost import CostOptions, cost_options, costs_table
from automoe.commands.space_ranking import EXACT_COSTS, Ranked, Ranking, SurveyedCosts
from automoe.errors import ConfigError, did_you_mean
from automoe.search import (
    LATENCY,
    Limit,
    ResolvedLimit,
    check_feasible,
    in_budget_units,
    parse_budget,
    resolve,
    space_begins,
)
from automoe.space import (
    Architecture,
    Gene,
    GenomeCodec,
    SearchSpace,
    architecture_table,
    find_space,
    read_space_file,
)
from automoe.space.census.survey import Share, Survey
from automoe.terminal import format_table

_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Description:
    """All that is said of a space."""

    space: SearchSpace
    options: CostOptions
    num_seen: int
    """Architectures that were listed or drawn."""
    by: str
    """The cost that orders `ranked`."""
    ranked: dict[str, Ranked]
    """The cheapest, the median and the dearest architecture, by these words."""
    limits: tuple[ResolvedLimit, ...]
    share: Share | None
    """The share of the architectures that keep all limits; None if there are none."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        form = {
            "name": self.space.name,
            "digest": self.space.digest,
            "num_architectures": self.space.num_architectures,
            "num_raw": self.space.num_raw,
            "num_expert_placements": self.space.census.num_expert_placements,
            "genes": [asdict(gene) for gene in self.space.genes()],
            "constraints": [str(constraint) for constraint in self.space.constraints],
            "cost_options": asdict(self.options),
            "num_seen": self.num_seen,
            "by": self.by,
        }
        for label, found in self.ranked.items():
            costs = self.options.costs(found.arch).to_dict()
            form[label] = {"digest": found.arch.digest, "exact": found.exact, "architecture": found.arch.to_dict(),
                           "costs": costs}  # fmt: skip
        if self.share is not None:
            form |= {"budget": [limit.to_dict() for limit in self.limits], "share": asdict(self.share)}
        return form

    def lines(self) -> list[str]:
        """The text for a terminal."""
        census = self.space.census
        lines = [
            f"space {self.space.name} ({self.space.digest})",
            f"{census.num_architectures:,} architectures",
            f"{census.num_raw:,} combinations of genes (raw: the experts of a layer in order)",
            f"{census.num_expert_placements:,} placements of expert layers",
            *[f"constraint {constraint}" for constraint in self.space.constraints],
        ]
        if self.share is not None:
            limits = " and ".join(map(str, self.limits))
            lines.append(f"share {_shown_share(self.share, self.num_seen)} with {limits}")
        lines += ["", *_genes_table(self.space.genes())]
        for label, found in self.ranked.items():
            of = "" if found.exact else f", of {self.num_seen:,} drawn uniformly"
            of += "" if found.exact or label == "median" else ", the smallest and the largest"
            lines += ["", f"{label} architecture by {self.by}{of} ({found.arch.digest})"]
            lines += [architecture_table(found.arch), "", *costs_table(found.arch, self.options)]
        return lines


def describe(args: argparse.Namespace) -> int:
    """Prints the description, or JSON; returns the exit status.

    Raises:
        AutoMoEError: the file is no space, the budget is none, needs latencies, or is below what the space needs.
    """
    by = _exact_cost("--by", args.by)
    limits = () if args.budget is None else parse_limits(args.budget)
    file = read_space_file(find_space(args.file))
    description = description_of(file.space, cost_options(args, file), by, limits)
    text = json.dumps(description.to_dict(), indent=2) if args.json else "\n".join(description.lines())
    sys.stdout.write(text + "\n")
    return 0


def description_of(space: SearchSpace, options: CostOptions, by: str, limits: tuple[Limit, ...]) -> Description:
    """Counts, lists or samples a space.

    Args:
        space: the space.
        options: what costs depend on beside the architecture.
        by: one of `EXACT_COSTS`.
        limits: a budget of exact costs; may be empty.

    Raises:
        SpaceError: no architecture meets the constraints.
        ConfigError: a limit is below what any architecture takes.
    """
    survey = Survey.of(space, np.random.default_rng(_SEED))
    codec = GenomeCodec(space)
    costs = SurveyedCosts(codec, options)
    ranking = Ranking(survey, codec, costs)

    def value(arch: Architecture, cost: str) -> float:
        return in_budget_units(options.costs(arch).to_dict())[cost]

    resolved = resolve(limits, {limit.cost: value(space.largest(), limit.cost) for limit in limits})
    cheapest = {limit.cost: ranking.cheapest(limit.cost) for limit in limits}
    least = {cost: value(found.arch if found.exact else space.floor(), cost) for cost, found in cheapest.items()}
    begins = space_begins(space)
    check_feasible(resolved, {cost: (minimum, begins) for cost, minimum in least.items()}, space.name)
    return Description(
        space=space,
        options=options,
        num_seen=len(survey.genome_NG),
        by=by,
        ranked={
            "cheapest": ranking.cheapest(by),
            "median": Ranked(arch=codec.decode(survey.median(costs.by(by))), exact=survey.exact),
            "dearest": ranking.dearest(by),
        },
        limits=resolved,
        share=survey.share(partial(_keeps, resolved, costs)) if resolved else None,
    )


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Reads a budget of exact costs as it is typed: `flops_g=1.5,params_m.max_ratio=0.6`.

    Raises:
        ConfigError: it is none, or limits what has to be measured.
    """
    given: dict[str, dict[str, float | str]] = {}
    for part in text.split(","):
        key, equals, value = (word.strip() for word in part.partition("="))
        cost, _, kind = key.partition(".")
        if not equals or not key or not value:
            hint = "For example --budget flops_g=1.5,params_m=8 or --budget flops_g.max_ratio=0.6"
            raise ConfigError("--budget", part.strip(), "is no limit", hint=hint)
        _exact_cost("--budget", cost)
        if (kind := kind or "max") in given.setdefault(cost, {}):
            raise ConfigError(f"budget.{key}", problem="is given twice")
        given[cost][kind] = _number_or_text(value)
    return parse_budget(given)


def _keeps(
    limits: tuple[ResolvedLimit, ...], costs: SurveyedCosts, genome_NG: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    return np.logical_and.reduce([costs.by(limit.cost)(genome_NG) <= limit.max for limit in limits])


def _shown_share(share: Share, num_seen: int) -> str:
    value, lower, upper = (f"{100 * part:#.3g}".rstrip(".") for part in (share.value, share.lower, share.upper))
    if share.exact:
        return f"{value} % of the architectures (exact)"
    return f"{value} % [{lower}, {upper}] of the architectures ({num_seen:,} drawn uniformly)"


def _exact_cost(key: str, cost: str) -> str:
    """The name of a cost that is known of every architecture."""
    allowed = ", ".join(EXACT_COSTS)
    if cost == LATENCY:
        hint = "In a run, automoe select applies it"
        raise ConfigError(key, cost, "has to be measured, this command only computes", allowed=allowed, hint=hint)
    if cost not in EXACT_COSTS:
        raise ConfigError(key, cost, "is no cost", allowed=allowed, hint=did_you_mean(cost, EXACT_COSTS))
    return cost


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value  # the budget says what is wrong with it


def _genes_table(genes: tuple[Gene, ...]) -> list[str]:
    header = ("gene", "times", "choices")
    rows = [(gene.name, gene.slots, _shown_choices(gene)) for gene in genes]
    return format_table(header, rows).splitlines()


def _shown_choices(gene: Gene) -> str:
    words = f"as {gene.follows}" if gene.follows else ", ".join(map(str, gene.choices))
    if not gene.shared:
        return words
    # As a space file says it, where layers are counted from 1.
    groups = "all" if gene.slots == 1 else [[index + 1 for index in layers] for layers in gene.shared]
    return f"{words}; share: {groups}"
