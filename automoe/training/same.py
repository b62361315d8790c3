"""Whether a training may go on from a checkpoint: of its model, vocabulary, loss, precision and training targets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automoe.data import DataSummary
from automoe.errors import TrainingError
from automoe.training.targets import REFERENCES

SEGMENTER = "segmenter"
"""Key of the vocabulary's digest in the task's state, which checkpoints keep."""
TARGETS = "targets"
"""Key of what the training targets are, see `targets.identity_of`, in the same."""
MODEL = "transformer."
"""Prefix of the weights of our Transformer in fairseq's model."""


def check_same(
    saved: Mapping[str, Any],
    file: Path,
    *,
    architecture: str,
    loss: str,
    space: str | None,
    precision: str,
    summary: DataSummary,
    targets: str,
) -> None:
    """Refuses the checkpoint of another training.

    Args:
        saved: its content.
        file: where it is.
        architecture: of the model to train, in JSON.
        loss: name of the criterion.
        space: search space of a supernet, in JSON.
        precision: one of `config.PRECISIONS`.
        summary: of the corpus.
        targets: what the training targets are, see `targets.identity_of`.

    Raises:
        TrainingError: it is of another one; it names what differs.
    """
    config, weights = saved["cfg"], saved["model"]
    parts = {
        "architecture": (config["model"]["architecture"], architecture),
        "size of the vocabulary": (len(weights[f"{MODEL}embedding"]), summary.vocab_size),
        "vocabulary": (saved["task_state"].get(SEGMENTER, summary.segmenter), summary.segmenter),
        "loss": (config["criterion"]["_name"], loss),
        "space": (config["criterion"].get("space"), space),
        "precision": (precision_of(config["common"]), precision),
        "set of training targets": (saved["task_state"].get(TARGETS, REFERENCES), targets),
    }
    for part, (found, wanted) in parts.items():
        if found != wanted:
            raise TrainingError(
                f"this checkpoint is of another training: the {part} differs",
                file=file,
                hint=f"Train into another folder, or remove {file.parent}",
            )


def precision_of(common: Mapping[str, Any]) -> str:
    """The precision that fairseq's flags mean."""
    return "float16" if common["fp16"] else "bfloat16" if common["bf16"] else "float32"
