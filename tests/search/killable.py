"""A process that searches in a folder and can be killed: `python -m tests.search.killable FOLDER EVALUATIONS`."""

import sys
import time
from pathlib import Path

from automoe.search import Quality
from tests.search.analytic import evaluate, new_archive, search_on

_EVALUATION_SECONDS = 0.02


def slowly(arch) -> Quality:
    time.sleep(_EVALUATION_SECONDS)
    return evaluate(arch)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    search_on(new_archive(folder), slowly, evaluations=int(sys.argv[2]), population=8, parents=4)
    (folder / "done").touch()
