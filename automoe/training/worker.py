"""The process of one training: `python -m automoe.training.worker FOLDER PARENT_PID`."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from pathlib import Path

from automoe.errors import AutoMoEError
from automoe.files import is_full, write_json
from automoe.training.train import FAILURE, LOG, TrainingJob

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Carries out the job of the folder; a failure that a user can mend is left in `failure.json`."""
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends both without a traceback
    logging.basicConfig(filename=folder / LOG, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that cannot be written stops nothing
    from automoe.training.loop import run  # after the log is set up: importing fairseq already logs

    try:
        run(TrainingJob.read(folder), folder)
    except AutoMoEError as error:
        logging.exception("training failed")
        write_json(folder / FAILURE, {"kind": type(error).__name__, **error.fields()})
        sys.exit(1)
    except Exception:
        logging.exception("training failed")
        if is_full(folder):  # no defect, whatever error a library made of it: the parent words it
            sys.exit(1)
        raise


def _die_with(parent: int) -> None:
    """Asks Linux to kill this process when its parent dies, so that no orphan writes beside its successor."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the request
        os._exit(1)


if __name__ == "__main__":
    main()
