"""Searching a space: the archive of what was evaluated, evolution over the front, the choice under a budget."""

from automoe.search.archive import ARCHIVE, Archive, ArchiveHeader, read_archive
from automoe.search.budget import (
    Limit,
    ResolvedLimit,
    check_feasible,
    parse_budget,
    parse_budgets,
    resolve,
    space_begins,
    used_share,
)
from automoe.search.config import ArchitectureSearchConfig, SelectConfig
from automoe.search.costs import COSTS, LATENCY, in_budget_units, shown_cost
from automoe.search.dominance import crowding_distance, non_dominated_sort
from automoe.search.evaluator import CostPredictor, Estimate, Evaluator, Interval, Measure, Quality
from automoe.search.known import known_qualities
from automoe.search.loop import SearchOutcome, run_search
from automoe.search.pool import AllAtOnce, Finished, InProcess, Pool, Remembering
from automoe.search.problem import Problem
from automoe.search.record import Record
from automoe.search.searcher import Candidate, Searcher, make_searcher
from automoe.search.select import select
from automoe.search.selection import Selection

__all__ = [
    "ARCHIVE",
    "COSTS",
    "LATENCY",
    "AllAtOnce",
    "ArchitectureSearchConfig",
    "Archive",
    "ArchiveHeader",
    "Candidate",
    "CostPredictor",
    "Estimate",
    "Evaluator",
    "Finished",
    "InProcess",
    "Interval",
    "Limit",
    "Measure",
    "Pool",
    "Problem",
    "Quality",
    "Record",
    "Remembering",
    "ResolvedLimit",
    "SearchOutcome",
    "Searcher",
    "SelectConfig",
    "Selection",
    "check_feasible",
    "crowding_distance",
    "in_budget_units",
    "known_qualities",
    "make_searcher",
    "non_dominated_sort",
    "parse_budget",
    "parse_budgets",
    "read_archive",
    "resolve",
    "run_search",
    "select",
    "shown_cost",
    "space_begins",
    "used_share",
]
