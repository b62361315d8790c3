"""Exports a model for each of several budgets from one finished run, and measures every bundle once more.

    automoe run                                               # the quickstart
    python experiments/distillation/budgets.py quickstart     # three budgets and an impossible one: see the README

`automoe export` chooses, trains, exports and measures; `automoe evaluate` then opens each bundle in a new process and
measures it in another session. Writes `budgets.csv` (a line for each limit of each bundle) and `budgets.json`
(command, versions, and what was said of a refused budget).
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "runtime"))

import common

from automoe.files import csv_text, write_atomically, write_json
from automoe.terminal import format_table

Row = dict[str, Any]
BUDGETS: dict[str, dict[str, Any]] = {
    "fast": {"latency_ms": {"max_ratio": 0.5}},
    "small": {"latency_ms": {"max_ratio": 0.7}, "params_m": {"max_ratio": 0.5}},
    "frugal": {"flops_g": {"max_ratio": 0.4}, "latency_ms": {"max_ratio": 0.65}},
    "impossible": {"latency_ms": {"max": 0.2}},
}
"""Shares are of the largest sub-transformer."""
_COLUMNS = ("budget", "verdict", "architecture", "BLEU", "chrF", "cost", "limit", "value", "measured_again")


def automoe(stage: str, args: argparse.Namespace, *settings: str) -> tuple[int, dict[str, Any]]:
    """Runs a command with `--json`: its exit status and what it printed."""
    command = [sys.executable, "-m", "automoe.cli", stage, "--json", f"run={args.run}", f"runs_dir={args.runs_dir}"]
    done = subprocess.run([*command, *settings, *args.settings], stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout.strip():
        sys.exit(done.returncode)  # it has said why
    return done.returncode, json.loads(done.stdout)


def as_setting(key: str, value: Any) -> str:
    """A setting on the command line."""
    return f"{key}={yaml.safe_dump(value, default_flow_style=True, width=10**6).strip()}"


def rows_of(outcome: dict[str, Any], args: argparse.Namespace) -> list[Row]:
    """A row for each limit of a budget; one that was refused has a single row."""
    name = outcome["name"]
    if outcome["verdict"] != "kept":
        return [{"budget": name, "verdict": outcome["verdict"]}]
    _, again = automoe("evaluate", args, as_setting("budget", BUDGETS[name]))
    return [
        {
            "budget": name,
            "verdict": outcome["verdict"],
            "architecture": outcome["digest"],
            "BLEU": outcome["BLEU"],
            "chrF": outcome["chrF"],
            "cost": limit["cost"],
            "limit": limit["max"],
            "value": limit["value"],
            "measured_again": limit.get("again"),
        }
        for limit in again["budget"]
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Exports, measures, prints the table and writes the results."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a finished run")
    parser.add_argument("settings", nargs="*", help="settings with which the run was made, if not the defaults")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the results")
    args = parser.parse_args(given)
    status, made = automoe("export", args, as_setting("budgets", BUDGETS))
    rows = [row for outcome in made["budgets"] for row in rows_of(outcome, args)]
    rows = [{name: row.get(name) for name in _COLUMNS} for row in rows]
    print(format_table(list(_COLUMNS), [list(row.values()) for row in rows]))
    args.out.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out / "budgets.csv", csv_text(rows, digits=5))
    about = {
        "command": shlex.join(["python", "experiments/distillation/budgets.py", *common.shown(given)]),
        **common.machine(),
        "budgets": BUDGETS,
        "exit_status": status,
        "refused": {each["name"]: each["error"] for each in made["budgets"] if each["error"] is not None},
    }
    write_json(args.out / "budgets.json", about)


if __name__ == "__main__":
    main()
