"""`python -m tests.search.store.local STORE`: a worker as a search starts it; its input says what shall go wrong."""

import sys
import time

from automoe.errors import AutoMoEError
from automoe.search import Quality
from automoe.search.local_workers import work_locally
from automoe.space import Architecture
from tests.search.analytic import loss
from tests.search.store.evaluating import Place


def main() -> int:
    kind = sys.stdin.read()
    if kind == "cannot begin":
        raise ZeroDivisionError("ours")
    if kind == "dies":
        print("there is no such library", file=sys.stderr)
        return 3

    def evaluate(arch: Architecture) -> Quality:
        if kind == "fails":
            raise AutoMoEError("the weights are damaged")
        if kind == "is defective":
            raise ZeroDivisionError("ours")
        time.sleep(60 if kind == "sleeps" else 0)
        return Quality(loss(arch))

    return work_locally(Place(where=sys.argv[1], lease_s=20.0).open, lambda: evaluate)


if __name__ == "__main__":
    sys.exit(main())
