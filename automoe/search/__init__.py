"""Searching a space: the archive of what was evaluated, evolution over the front, the choice under a budget."""

from automoe.search.archive import ARCHIVE, Archive, ArchiveHeader, read_archive
from automoe.search.budget import (
    Limit,
    ResolvedLimit,
    check_feasible,
    parse_budget,
    resolve,
    space_begins,
    used_share,
)
from automoe.search.config import EvolutionConfig, SelectConfig
from automoe.search.costs import COSTS, LATENCY, in_budget_units, shown_cost
from automoe.search.dominance import crowding_distance, non_dominated_sort
from automoe.search.evaluator import CostPredictor, Estimate, Evaluator, Interval, Measure
from automoe.search.evolution import run_evolution
from automoe.search.focused import run_focused
from automoe.search.generations import SearchOutcome
from automoe.search.record import Record
from automoe.search.select import select
from automoe.search.selection import Selection

__all__ = [
    "ARCHIVE",
    "COSTS",
    "LATENCY",
    "Archive",
    "ArchiveHeader",
    "CostPredictor",
    "Estimate",
    "Evaluator",
    "EvolutionConfig",
    "Interval",
    "Limit",
    "Measure",
    "Record",
    "ResolvedLimit",
    "SearchOutcome",
    "SelectConfig",
    "Selection",
    "check_feasible",
    "crowding_distance",
    "in_budget_units",
    "non_dominated_sort",
    "parse_budget",
    "read_archive",
    "resolve",
    "run_evolution",
    "run_focused",
    "select",
    "shown_cost",
    "space_begins",
    "used_share",
]
