"""`python -m automoe.pipeline.local_worker`: a worker that a search starts on its own machine.

Its standard input tells it where to work and what evaluates, pickled by the search. It leaves when the search dies.
"""

from __future__ import annotations

import os
import pickle
import sys

from automoe.errors import AutoMoEError
from automoe.search.local_workers import COORDINATOR_PID
from automoe.search.worker import work, worker_name


def main() -> int:
    """Works until the search is over.

    Returns:
        The exit status: 0, 2 for a mistake that the user can mend, 130 when stopped.
    """
    coordinator = int(os.environ[COORDINATOR_PID])
    meeting, make_evaluator = pickle.load(sys.stdin.buffer)
    try:
        evaluate = make_evaluator()
        work(meeting.store(), evaluate, worker_name(), stays=lambda: os.getppid() == coordinator)
    except AutoMoEError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
