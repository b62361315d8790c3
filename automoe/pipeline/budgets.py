"""Several budgets on one run: each chooses, distils and exports a model of its own; what they share is made once.

A bundle that is finished is linked as `export/NAME`, so that it stays in use beside the others. One that cannot be,
or that breaks its budget, does not stop the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from automoe.errors import AutoMoEError
from automoe.files import read_json
from automoe.pipeline.config import RunConfig
from automoe.pipeline.export import BUNDLE
from automoe.pipeline.files import MEASURED, SELECTION
from automoe.pipeline.keeping import BudgetBroken
from automoe.pipeline.run_folder import RunFolder
from automoe.search import Limit, parse_budgets, shown_cost
from automoe.terminal import format_table


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one of several budgets."""

    name: str
    budget: tuple[Limit, ...]
    digest: str | None = None
    """Of the chosen architecture; None if none could be chosen."""
    scores: Mapping[str, float] | None = None
    """BLEU and chrF of the bundle on the test set, by name; None if it was refused."""
    lines: Sequence[Mapping[str, Any]] = ()
    """Each limit, held against the bundle; none if there is no bundle."""
    bundle: Path | None = None
    """None if the budget was refused."""
    error: AutoMoEError | None = None
    """Why it was refused."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "name": self.name,
            "digest": self.digest,
            **(self.scores or {}),
            "budget": list(self.lines),
            "verdict": "kept" if self.error is None else "refused",
            "bundle": None if self.bundle is None else str(self.bundle),
            "error": None if self.error is None else str(self.error),
        }


def export_budgets(config: RunConfig, execute: Callable[[RunConfig], Mapping[str, Path]]) -> Iterator[Outcome]:
    """Exports a model for each of the budgets, and yields what became of each before the next begins.

    Args:
        config: the whole configuration, with `budgets`.
        execute: makes everything up to the stage `export` for a configuration with one `budget`; returns the finished
            folders by stage.

    Raises:
        AutoMoEError: something failed that has nothing to do with a budget.
    """
    run = RunFolder(Path(config.runs_dir) / config.run)
    for name, budget in parse_budgets(config.budgets).items():
        print(f"budget {name}: {', '.join(map(_shown_limit, budget))}", file=sys.stderr, flush=True)
        try:
            folders = execute(replace(config, budget=budget, budgets=None))
        except AutoMoEError as error:
            if not (error.key or "").startswith(f"{budget[0].section}."):
                raise
            _take_name(run, name)
            yield _refused(name, budget, error)
            continue
        with run.locked():
            run.set_link("export", name, folders["export"].name)
        yield _finished(name, budget, folders)


def _take_name(run: RunFolder, name: str) -> None:
    """Removes the link of a refused budget: what it leads to was made for another budget, or with other settings."""
    earlier = run.links("export").get(name)
    if earlier is None:
        return
    with run.locked():
        run.remove_link("export", name)
    print(
        f"budget {name}: the link export/{name} led to {earlier}, made with other settings, and is removed; the "
        f"bundle stays until `automoe clean {run.name}`",
        file=sys.stderr,
        flush=True,
    )


def _finished(name: str, budget: tuple[Limit, ...], folders: Mapping[str, Path]) -> Outcome:
    measured = read_json(folders["export"] / MEASURED)
    return Outcome(
        name=name,
        budget=budget,
        digest=read_json(folders["select"] / SELECTION)["digest"],
        scores={metric: measured["system"][metric]["value"] for metric in ("BLEU", "chrF")},
        lines=measured["budget"],
        bundle=folders["export"] / BUNDLE,
    )


def _refused(name: str, budget: tuple[Limit, ...], error: AutoMoEError) -> Outcome:
    if not isinstance(error, BudgetBroken):  # nothing could be chosen
        return Outcome(name=name, budget=budget, error=error)
    return Outcome(name=name, budget=budget, error=error, digest=error.digest, lines=error.lines)


def outcomes_table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a table: what each bundle takes of what it may."""
    costs = list(dict.fromkeys(limit.cost for outcome in outcomes for limit in outcome.budget))
    rows = [
        [
            outcome.name,
            outcome.digest,
            *((f"{outcome.scores[metric]:.1f}" if outcome.scores else None) for metric in ("BLEU", "chrF")),
            *(_cell(outcome, cost) for cost in costs),
            "kept" if outcome.error is None else "REFUSED",
            outcome.bundle,
        ]
        for outcome in outcomes
    ]
    return format_table(["budget", "architecture", "BLEU", "chrF", *costs, "verdict", "bundle"], rows)


def _cell(outcome: Outcome, cost: str) -> str | None:
    """What the bundle takes of what it may: `1.93 of 2`."""
    line = next((line for line in outcome.lines if line["cost"] == cost), None)
    if line is not None:
        return f"{line['value']:.4g} of {line['max']:.4g}"
    limit = next((limit for limit in outcome.budget if limit.cost == cost), None)
    return None if limit is None else f"? of {_most(limit)}"


def _shown_limit(limit: Limit) -> str:
    return f"{limit.cost} <= {_most(limit) if limit.max is None else shown_cost(limit.cost, limit.max)}"


def _most(limit: Limit) -> str:
    return f"{limit.max:.4g}" if limit.max is not None else f"{100 * float(limit.max_ratio or 0):g} % of the largest"
