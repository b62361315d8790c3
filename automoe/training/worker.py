"""A process of one training: `python -m automoe.training.worker FOLDER PARENT_PID`; under torchrun FOLDER alone."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from pathlib import Path

from automoe.errors import AutoMoEError, TrainingError
from automoe.files import is_full, write_json

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Carries out the job of the folder; a failure that a user can mend is left in `failure.json`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends all without a traceback
    folder, parent = Path(sys.argv[1]), sys.argv[2:]
    _die_with(int(parent[0]) if parent else os.getppid())
    from automoe.training.train import FAILURE, JOB, log_of  # these take seconds

    rank = int(os.environ.get("RANK", 0))
    if not (folder / JOB).exists():
        sys.exit(f"automoe: {folder / JOB}: there is no such job. Begin the training with `automoe run` first")
    log = folder / log_of(rank)
    logging.basicConfig(filename=log, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that cannot be written stops nothing
    try:
        _carry_out(folder, alone=not parent)
    except AutoMoEError as error:
        logging.exception("training failed")
        if not (folder / FAILURE).exists():  # what fails first is the cause
            own = folder / f"{FAILURE}.{rank}"  # several may fail at once
            write_json(own, {"kind": type(error).__name__, **error.fields()})
            own.replace(folder / FAILURE)
        sys.exit(1 if parent else f"automoe: {error}")


def _carry_out(folder: Path, *, alone: bool) -> None:
    """Takes the job's part that is this process's; one that is `alone` has no parent to word its errors."""
    # After the log is set up: importing fairseq already logs.
    from automoe.training.distributed import Place, leave, lost_another
    from automoe.training.launch import LOST
    from automoe.training.loop import run
    from automoe.training.train import TrainingJob

    job, place = TrainingJob.read(folder), Place.of_environment()
    if place.world_size != job.training.processes:
        raise TrainingError(
            f"the training was started in {place.world_size} processes",
            key="training.processes",
            value=job.training.processes,
            hint=f"Start {job.training.processes}, or begin a training with training.processes={place.world_size}",
        )
    try:
        run(job, folder, place)
        leave()
    except AutoMoEError:
        raise
    except Exception as error:
        logging.exception("training failed")
        if lost_another(error):
            if alone:
                print(f"automoe: the connection to another process is lost: {error}", file=sys.stderr, flush=True)
            os._exit(LOST)  # at once: what failed there is told there
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
