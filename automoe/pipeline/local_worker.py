"""`python -m automoe.pipeline.local_worker`: a worker that a search starts on its own machine.

Its standard input tells it where to work and what evaluates, pickled by the search. It leaves when the search dies.
"""

from __future__ import annotations

import pickle
import sys

from automoe.search.local_workers import work_locally


def main() -> int:
    """Works until the search is over; returns the exit status of `work_locally`."""
    meeting, make_evaluator = pickle.load(sys.stdin.buffer)
    return work_locally(meeting.store, make_evaluator)


if __name__ == "__main__":
    sys.exit(main())
