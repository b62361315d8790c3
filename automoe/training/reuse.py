"""A training that an equal one has done before takes its result, and does not train."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from automoe.errors import AutoMoEError
from automoe.files import PARTIAL, sha256_of, write_atomically
from automoe.nn.model_folder import SIZES, WEIGHTS
from automoe.training import log
from automoe.training.train import LOG, TrainingJob, origin


def reuse_training(job: TrainingJob, out: Path, candidates: Iterable[Path]) -> bool:
    """Fills `out` with the result of an equal training, as if `train(job, out)` had made it; but for checkpoints.

    Equal are those whose jobs are, up to the places of initial weights and other targets: of these the content
    counts. `model.json` is written last, so that a half-filled folder is no finished one.

    Args:
        job: the training that is asked for.
        out: its folder; it is made.
        candidates: folders of trainings, finished or not, in the order in which they are tried.

    Returns:
        Whether one of them was.

    Raises:
        DataError, TrainingError: the job's targets or initial weights are missing or damaged.
        OSError: the disk is full.
    """
    wanted = origin(job)
    for folder in candidates:
        if folder.resolve() != out.resolve() and _is_result(folder, job, wanted):
            _copy(folder, out, job)
            return True
    return False


def _is_result(folder: Path, job: TrainingJob, wanted: dict[str, str]) -> bool:
    """Whether `folder` holds the whole result of a job that is equal to `job`, of the origin `wanted`."""
    try:
        if _by_content(TrainingJob.read(folder)) != _by_content(job) or not (folder / log.FILE).exists():
            return False
        info: dict[str, Any] = json.loads((folder / SIZES).read_bytes())
        same = all(info.get(key) == digest for key, digest in wanted.items())
        return bool(same and info["weights_sha256"] == sha256_of(folder / WEIGHTS))
    except (AutoMoEError, OSError, ValueError, KeyError, TypeError):  # not finished, damaged, or of another version
        return False


def _by_content(job: TrainingJob) -> dict[str, Any]:
    """The JSON form of a job without the places of what `origin` knows by its content."""
    return job.to_dict() | {"initial": job.initial is not None, "targets": job.targets is not None}


def _copy(folder: Path, out: Path, job: TrainingJob) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / SIZES).unlink(missing_ok=True)
    _link(folder / WEIGHTS, out / WEIGHTS)
    for name in (log.FILE, LOG):  # copies: they are appended to, should the training be made longer
        if (folder / name).exists():
            write_atomically(out / name, (folder / name).read_bytes())
    job.write(out)
    write_atomically(out / SIZES, (folder / SIZES).read_bytes())


def _link(file: Path, target: Path) -> None:
    """A second name of a file that is never written to, or a copy where the file system has no such names."""
    aside = target.with_name(target.name + PARTIAL)
    for old in (aside, target):
        old.unlink(missing_ok=True)
    try:
        os.link(file, aside)
    except OSError:
        shutil.copyfile(file, aside)
    aside.replace(target)
