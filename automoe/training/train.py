"""`train()`: trains a Transformer with fairseq, in one process of its own or in several.

fairseq keeps state in functions and in the global Hydra, so two trainings must not share a process. The
processes die with their parent, and a later call on the same folder goes on from its newest checkpoint.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from automoe.data import PreparedData
from automoe.errors import AutoMoEError, ConfigError, DataError, SpaceError, TrainingError
from automoe.files import is_full, sha256_of, write_json
from automoe.nn import TransformerConfig
from automoe.nn.model_folder import SIZES, WEIGHTS
from automoe.space import Architecture
from automoe.training.config import TrainingConfig
from automoe.training.launch import LOST, launch
from automoe.training.objective import (
    DistillObjective,
    Objective,
    PlainObjective,
    SupernetObjective,
    objective_from_dict,
)
from automoe.training.same import check_same
from automoe.training.targets import digest_of_targets, identity_of

__all__ = ["DistillObjective", "Objective", "PlainObjective", "SupernetObjective", "TrainingJob", "train"]

_RUNTIME = {
    # A thread that waits soon gives its core away; otherwise two threads collapse while the other core is busy.
    "GOMP_SPINCOUNT": "1000",
    # The C library keeps the memory of a step for the next: giving it back and faulting it in again costs a tenth.
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
}
"""Environment of the training process, where the user has not set it otherwise."""

JOB, LOG, FAILURE = "job.json", "training.log", "failure.json"
CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints, within that of the training."""


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """All that decides the result of one training."""

    data: Path
    """Folder of a prepared corpus."""
    architecture: Architecture
    model: TransformerConfig
    training: TrainingConfig
    seed: int
    objective: Objective = field(default_factory=PlainObjective)
    initial: Path | None = None
    """Model folder whose weights the training begins with; None draws them. A checkpoint goes before it."""
    targets: Path | None = None
    """Id array (without an ending) of a translation for each training pair, to learn in place of the references; the
    validation set keeps its own."""
    keep_references: bool = False
    """Whether the references are learnt beside `targets`: every source then stands twice in an epoch."""

    def __post_init__(self) -> None:
        if self.keep_references and self.targets is None:
            raise ConfigError("keep_references", self.keep_references, allowed="false where there are no `targets`")
        if isinstance(self.objective, SupernetObjective):
            space = self.objective.space
            if not space.envelope().fits(self.architecture):
                raise SpaceError(
                    f"the supernet does not hold every architecture of the space {space.name!r}",
                    key="architecture",
                    hint="Train a supernet whose architecture is `space.envelope()`",
                )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form that `write` writes; paths are absolute."""
        return {
            "data": str(self.data.resolve()),
            "architecture": self.architecture.to_dict(),
            "model": self.model.to_dict(),
            "training": asdict(self.training),
            "seed": self.seed,
            "objective": self.objective.to_dict(),
            "initial": None if self.initial is None else str(self.initial.resolve()),
            "targets": None if self.targets is None else str(self.targets.resolve()),
            "keep_references": self.keep_references,
        }

    def write(self, folder: Path) -> None:
        """Writes the job to `folder`, for the processes that carry it out."""
        write_json(folder / JOB, self.to_dict())

    @classmethod
    def read(cls, folder: Path) -> TrainingJob:
        """Reads the job of `folder`; one that was written before there were such keys has their defaults."""
        form: dict[str, Any] = json.loads((folder / JOB).read_bytes())
        return cls(
            data=Path(form["data"]),
            architecture=Architecture.from_dict(form["architecture"]),
            model=TransformerConfig.from_dict(form["model"]),
            training=TrainingConfig(**form["training"]),
            seed=form["seed"],
            objective=objective_from_dict(form["objective"]),
            initial=None if form["initial"] is None else Path(form["initial"]),
            targets=None if form.get("targets") is None else Path(form["targets"]),
            keep_references=form.get("keep_references", False),
        )


def origin(job: TrainingJob) -> dict[str, str]:
    """What of a job is known by its path alone, by content: `model.json` keeps it.

    Returns:
        `initial_sha256` of the weights to begin with, `targets_sha256` of other targets; of what there is.

    Raises:
        DataError: the targets are missing or damaged.
        TrainingError: there is no model in the folder of the weights.
    """
    found = {}
    if job.initial is not None:
        try:
            found["initial_sha256"] = json.loads((job.initial / SIZES).read_bytes())["weights_sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"the initial model is missing or damaged: {error}",
                file=job.initial,
                hint="Name a folder with model.json and model.safetensors, such as a finished supernet's",
            ) from error
    if job.targets is not None:
        found["targets_sha256"] = digest_of_targets(job.targets)
    return found


def train(job: TrainingJob, out: Path, *, quiet: bool = False) -> None:
    """Trains, or goes on with, the model of `job` in the folder `out`.

    Writes there `model.safetensors` and `model.json` (the weights with the lowest validation loss; of a supernet
    the lowest mean over its panel; of other targets alone, the last; where they are an average, `averaged` names its
    updates), `training.jsonl`, `training.log`, and `checkpoints/` in fairseq's format. Initial weights are validated
    too, as update 0: if no update improves them, they are the result.

    Where `job.training.processes` is more than one, so many processes of this machine share the work, each on a
    GPU of its own if there are any. A training that torchrun has finished in `out` is taken as it is.

    Args:
        job: what to train on what, and how.
        out: a folder for this training alone.
        quiet: show no progress, for trainings side by side.

    Raises:
        ConfigError: there are fewer GPUs than processes; it says how to use those of several machines.
        TrainingError: the training failed (NaN, no memory) or was killed; finished checkpoints stay.
        TrainingError: the weights to begin with, or the teacher, are damaged or of another vocabulary.
        TrainingError: `out` holds checkpoints of another training; nothing of it is touched.
        DataError, SpaceError: the corpus or the architecture cannot be used.
        OSError: ENOSPC, the disk is full.
    """
    out.mkdir(parents=True, exist_ok=True)
    failure = out / FAILURE
    failure.unlink(missing_ok=True)
    if _is_finished(job, out):
        return
    _check_checkpoints(job, out)
    (out / SIZES).unlink(missing_ok=True)  # of a job that this one goes on from
    job.write(out)
    _check_gpus(job.training.processes, out)
    threads = str(job.training.threads)
    environment = _RUNTIME | os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    # -P: a file of the user's, random.py in the current directory, must not stand in for a module.
    command = [sys.executable, "-P", "-m", "automoe.training.worker", str(out), str(os.getpid())]
    rank, status = launch(command, job.training.processes, environment, quiet=quiet)
    if failure.exists():
        fields = json.loads(failure.read_text(encoding="utf-8"))
        kinds = {kind.__name__: kind for kind in (ConfigError, DataError, SpaceError, TrainingError)}
        raise kinds.get(fields.pop("kind"), TrainingError)(**fields)
    if status != 0:
        if is_full(out):  # libraries raise errors of their own when a file cannot be written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out))
        raise _died(status, out / log_of(rank), quiet=quiet)


def log_of(rank: int) -> str:
    """Name of the file where a process of a training logs."""
    return LOG if rank == 0 else f"training.{rank}.log"


def _is_finished(job: TrainingJob, out: Path) -> bool:
    """Whether `out` holds the result of this very job, whole, whoever has carried it out."""
    try:
        digest = json.loads((out / SIZES).read_bytes())["weights_sha256"]
        same = TrainingJob.read(out).to_dict() == job.to_dict()
        return bool(same and digest == sha256_of(out / WEIGHTS))
    except (AutoMoEError, OSError, ValueError, KeyError, TypeError):
        return False


def _check_checkpoints(job: TrainingJob, out: Path) -> None:
    """Makes sure that a training that stands in `out` is one that this job goes on from, before it is touched.

    Raises:
        TrainingError: it is another one.
        DataError: the corpus cannot be used.
    """
    objective, summary = job.objective, None
    for file in sorted((out / CHECKPOINTS).glob("checkpoint_*.pt"), reverse=True):
        try:
            saved = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        except Exception:  # whatever torch makes of damaged bytes: the worker passes it over, too
            continue
        summary = summary or PreparedData.open(job.data).summary
        check_same(
            saved,
            file,
            architecture=json.dumps(job.architecture.to_dict()),
            loss=objective.criterion,
            space=objective.space_argument() if isinstance(objective, SupernetObjective) else None,
            precision=job.training.precision,
            summary=summary,
            targets=identity_of(job.targets, keep_references=job.keep_references),
        )


def _check_gpus(processes: int, out: Path) -> None:
    """Makes sure that every process has a GPU of its own, if there are any.

    Raises:
        ConfigError: there are too few.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else processes
    if processes > gpus:
        raise ConfigError(
            "training.processes",
            processes,
            f"is more than the {gpus} GPUs of this machine",
            allowed=f"1 to {gpus}",
            hint="To use several machines, start on each `torchrun --nnodes MACHINES --nproc_per_node GPUS "
            f"--rdzv_backend c10d --rdzv_endpoint HOST -m automoe.training.worker {out}`, then this command again",
        )


def _died(status: int, log: Path, *, quiet: bool) -> TrainingError:
    if status == -signal.SIGKILL:
        return TrainingError(
            "a training process was killed, as Linux does when memory runs out",
            file=log,
            hint="The same command goes on from the newest checkpoint; a lower training.max_tokens takes less memory",
        )
    if status == LOST:  # all that failed did so only because of another
        return TrainingError(
            "the processes of the training could not talk to each other",
            file=log,
            hint=f"Why stands in this file, and in those of the others ({log_of(1)}, ...); "
            "the same command goes on from the newest checkpoint",
        )
    ended = f"ended by signal {-status}" if status < 0 else f"failed with status {status}"
    where = "in this file" if quiet else "above and in this file"
    return TrainingError(
        f"a training process {ended}",
        file=log,
        hint=f"What it said stands {where}; the same command goes on from the newest checkpoint",
    )
