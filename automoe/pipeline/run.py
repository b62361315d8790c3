"""The run commands: executes the stages up to the one that was asked for, and prints what it made."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from automoe.errors import ConfigError
from automoe.pipeline import worker
from automoe.pipeline.budget import refuse_after_data, refuse_after_predictor
from automoe.pipeline.budgets import Outcome, export_budgets, outcomes_table
from automoe.pipeline.config import RunConfig
from automoe.pipeline.data import DATA
from automoe.pipeline.distill import DISTILL, DISTILL_ONE
from automoe.pipeline.evaluate import EVALUATE, EVALUATE_ONE
from automoe.pipeline.execute import execute
from automoe.pipeline.export import EXPORT, EXPORT_ONE, EXPORT_TAUGHT
from automoe.pipeline.fidelity import FIDELITY
from automoe.pipeline.predictor import PREDICTOR, PREDICTOR_OF_TABLE
from automoe.pipeline.profile import PROFILE
from automoe.pipeline.report import REPORT
from automoe.pipeline.results import COMMANDS
from automoe.pipeline.scratch import SCRATCH
from automoe.pipeline.search import SEARCH
from automoe.pipeline.select import SELECT
from automoe.pipeline.stage import Stage
from automoe.pipeline.supernet import SUPERNET
from automoe.pipeline.teacher import TEACH, TEACH_ONE
from automoe.search import Limit, parse_budget

SEARCH_STAGES: tuple[Stage[Any], ...] = (
    *(DATA, SUPERNET, PROFILE, PREDICTOR, SEARCH, SELECT),
    *(TEACH, DISTILL, EXPORT, EVALUATE, REPORT),
)
"""From a corpus and a space to the model that keeps the budget."""
ONE_STAGES: tuple[Stage[Any], ...] = (DATA, SUPERNET, EXPORT_ONE, EVALUATE_ONE)
"""The stages of a run that trains one given architecture: there is nothing to search."""
TAUGHT_STAGES: tuple[Stage[Any], ...] = (DATA, TEACH_ONE, DISTILL_ONE, EXPORT_TAUGHT, EVALUATE_ONE)
"""The same for one that models of the user's teach."""
FIDELITY_STAGES: tuple[Stage[Any], ...] = (DATA, SUPERNET, SCRATCH, FIDELITY)
"""What judges a supernet; no run needs it to find a model."""
TABLE_STAGES: tuple[Stage[Any], ...] = (PREDICTOR_OF_TABLE,)
"""All that can be done with a table that belongs to no space."""


def stages_of(command: str, config: RunConfig) -> tuple[Stage[Any], ...]:
    """The stages of a run that carries out `command`."""
    if config.architecture is not None:
        return TAUGHT_STAGES if config.teacher.models else ONE_STAGES
    if command in (SCRATCH.name, FIDELITY.name):
        return FIDELITY_STAGES
    return SEARCH_STAGES if config.predictor.table is None else TABLE_STAGES


def run(command: str, config: RunConfig, *, as_json: bool = False) -> int:
    """Carries out a run command and prints its result.

    Args:
        command: a stage's name, `run` for all of them, or `worker` to help with a search that runs.
        config: the whole configuration.
        as_json: print JSON instead of tables.

    Returns:
        The exit status: 0, or 1 if one of several budgets was refused.

    Raises:
        ConfigError: a stage of searches was asked for, but one architecture is given, or a table to learn from; or
            several budgets with another command than `export`.
    """
    stages = stages_of(command, config)
    if stages is TABLE_STAGES and command != PREDICTOR_OF_TABLE.name:
        raise _table_alone(command, config)
    if config.budgets is not None:
        return _for_budgets(command, config, stages, as_json=as_json)
    if config.architecture is not None and parse_budget(config.budget) != parse_budget(RunConfig().budget):
        print(
            "budget is not applied: one architecture is given, so nothing is chosen, and its bundle is not measured",
            file=sys.stderr,
            flush=True,
        )
    if command == "worker":
        worker.run(stages, config, as_json=as_json)
        return 0
    names = [stage.name for stage in stages]
    target = names[-1] if command == "run" else command
    if target not in names:
        raise ConfigError(
            "architecture",
            config.architecture,
            f"one architecture is given, so there is no stage {target!r}",
            allowed=f"null; or with it the stages {', '.join(names)}",
            hint="Models that teach it are named with teacher.models" if target == DISTILL.name else None,
        )
    folders = _execute(stages, config, target)
    result, table = COMMANDS[command]
    made = {**result(folders), "folder": str(folders[target])}
    print(json.dumps(made, indent=2, ensure_ascii=False) if as_json else table(made))
    return 0


def _execute(stages: Sequence[Stage[Any]], config: RunConfig, target: str) -> dict[str, Path]:
    names = [stage.name for stage in stages]
    return execute(stages, config, target, after=_checks(config, names[: names.index(target) + 1]))


def _for_budgets(command: str, config: RunConfig, stages: Sequence[Stage[Any]], *, as_json: bool) -> int:
    """Exports a model for each of `budgets` and prints what became of them; 1 if one was refused."""
    if command != EXPORT.name or stages is not SEARCH_STAGES:
        raise _not_for_budgets(command, config)
    outcomes: list[Outcome] = []
    try:
        for outcome in export_budgets(config, lambda each: _execute(stages, each, EXPORT.name)):
            outcomes.append(outcome)
    finally:  # what failed otherwise than by a budget, or was interrupted, loses nothing of what was made before
        if outcomes:
            _print_outcomes(outcomes, as_json=as_json)
    return int(any(outcome.error is not None for outcome in outcomes))


def _print_outcomes(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    if as_json:
        form = {"budgets": [outcome.to_dict() for outcome in outcomes]}
        print(json.dumps(form, indent=2, ensure_ascii=False), flush=True)
    else:
        print(outcomes_table(outcomes), flush=True)
    for outcome in outcomes:
        if outcome.error is not None:
            print(f"{outcome.name} was refused: {outcome.error}", file=sys.stderr, flush=True)


def _not_for_budgets(command: str, config: RunConfig) -> ConfigError:
    """The error for several budgets where not several models are exported."""
    given, hint = "one given architecture", "Leave budgets out: where one architecture is given, nothing is chosen"
    if config.predictor.table is not None:
        given, hint = f"`automoe {command}` with predictor.table", "Leave budgets out: it learns from a table alone"
    elif config.architecture is None:
        given = f"`automoe {command}`"
        hint = f"Give one budget with budget=..., or run: automoe {EXPORT.name} 'budgets=...'"
    problem = f"is for `automoe {EXPORT.name}` of a run that searches, not for {given}"
    return ConfigError("budgets", problem=problem, allowed="null", hint=hint)


def _table_alone(command: str, config: RunConfig) -> ConfigError:
    """The error for a command that does not learn from `predictor.table`."""
    return ConfigError(
        "predictor.table",
        config.predictor.table,
        f"is for `automoe {PREDICTOR_OF_TABLE.name}` alone, not for `automoe {command}`: only architectures of the "
        "space, measured as this run measures, can be searched by",
        allowed="null",
        hint="Give the measured table of this space as profile.table=FILE",
    )


def _checks(config: RunConfig, names: Sequence[str]) -> dict[str, Callable[[Path], None]]:
    """What refuses impossible budgets as soon as that is known: by stage, called with its finished folder.

    Args:
        config: the whole configuration.
        names: the stages that are made.
    """
    budgets: list[tuple[Limit, ...]] = []
    if SEARCH.name in names and config.search.within is not None:
        budgets.append(parse_budget(config.search.within, "search.within"))
    if SELECT.name in names:
        budgets.append(parse_budget(config.budget))

    def each(refuse: Callable[[RunConfig, tuple[Limit, ...], Path], None]) -> Callable[[Path], None]:
        def check(folder: Path) -> None:
            for budget in budgets:
                refuse(config, budget, folder)

        return check

    return {DATA.name: each(refuse_after_data), PREDICTOR.name: each(refuse_after_predictor)} if budgets else {}
