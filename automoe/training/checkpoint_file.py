"""A checkpoint file of fairseq, whichever training wrote it: its weights and settings, read without trusting it."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from automoe.errors import TrainingError

WHAT_TEACHES = (
    "a model folder (model.json, model.safetensors), a bundle (the folder that holds bundle.json), or a checkpoint "
    ".pt of automoe_transformer or of fairseq's transformer with dict.SOURCE.txt and dict.TARGET.txt beside it"
)


@dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """What of a checkpoint says what its model is."""

    file: Path
    model: Mapping[str, Any]
    """Settings of the model, as fairseq's command line names them."""
    task: Mapping[str, Any]
    """Settings of the task; before fairseq 0.10 there was one list for both."""
    task_state: Mapping[str, Any]
    weights: Mapping[str, Tensor]

    @property
    def architecture(self) -> str:
        """Name of the architecture in fairseq."""
        return str(self.model.get("_name") or self.model.get("arch"))


def read_checkpoint(file: Path) -> CheckpointFile:
    """Reads a checkpoint; no code that it may hold is run.

    Raises:
        TrainingError: it is missing, damaged, holds objects that could run code, is no checkpoint of fairseq, or has
            weights that are not numbers.
    """
    saved = _load(file)
    config = saved.get("cfg") or {}
    try:
        model, task = (_settings(config.get(part) or saved["args"]) for part in ("model", "task"))
        weights = dict(saved["model"])
        state = dict(saved.get("task_state") or {})
    except (KeyError, TypeError, AttributeError) as error:
        raise TrainingError(
            "is no checkpoint of a fairseq training", file=file, key="teacher.models", allowed=WHAT_TEACHES
        ) from error
    check_numbers(weights, file)
    return CheckpointFile(file=file, model=model, task=task, task_state=state, weights=weights)


def check_numbers(weights: Mapping[str, Tensor], file: Path) -> None:
    """Makes sure that all weights are finite.

    Raises:
        TrainingError: one is NaN or infinite; it names the first such tensor.
    """
    for name, weight in weights.items():
        if not bool(torch.isfinite(weight).all()):
            raise TrainingError(
                f"the weights of the teacher are NaN or infinite, first in {name!r}",
                file=file,
                hint="Use an earlier checkpoint, from before its training diverged",
            )


def _load(file: Path) -> Mapping[str, Any]:
    unsafe: list[str] = []
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            if zipfile.is_zipfile(file):
                unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(file)
            saved = torch.load(file, map_location="cpu", weights_only=True)
        if isinstance(saved, Mapping):
            return saved
        error: Exception | None = None
    except Exception as caught:  # whatever torch makes of damaged bytes
        error = caught
    if unsafe:
        raise TrainingError(
            f"holds objects that could run code when they are read: {', '.join(unsafe[:3])}",
            file=file,
            hint="Load it with the program that wrote it, and save a dictionary of its 'model' (tensors) and 'cfg' "
            "(plain values) anew",
        ) from error
    raise TrainingError(
        f"the teacher is missing or damaged: {error or 'it holds no dictionary'}",
        file=file,
        key="teacher.models",
        allowed=WHAT_TEACHES,
    ) from error


def _settings(section: Any) -> dict[str, Any]:
    """The settings of a section, which fairseq writes as a dictionary or, for its older models, as a Namespace."""
    return dict(section) if isinstance(section, Mapping) else dict(vars(section))
