"""How long an impossible budget takes to be refused, in a finished run, once everything is imported.

    python experiments/benchmarks/refusal/refuse.py [RUN] [OVERRIDE ...]

Prints the message and the seconds of each of five refusals, of which the first one also opens what is opened once.
"""

from __future__ import annotations

import importlib
import sys
import time

from automoe.cli import main


def refuse(run: str, overrides: list[str]) -> None:
    for module in ("compose", "run"):
        importlib.import_module(f"automoe.pipeline.{module}")
    importlib.import_module("hydra")
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        status = main(["run", f"run={run}", "budget.latency_ms=0.1", *overrides])
        seconds.append(time.perf_counter() - begin)
        assert status == 2, "the budget was not refused"
    print("seconds:", ", ".join(f"{each:.2f}" for each in seconds))


if __name__ == "__main__":
    refuse(sys.argv[1] if len(sys.argv) > 1 else "quickstart", sys.argv[2:])
