"""Weights from an earlier training: those that this one begins with, and those of its teacher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from automoe.data import DataSummary
from automoe.distill.teacher import Teacher
from automoe.errors import SpaceError, TrainingError
from automoe.nn import Transformer
from automoe.nn.model_folder import SIZES, read_model
from automoe.space import Architecture, slice_error

_RETRAIN = "Train that model anew on this corpus, or use the corpus that it was trained on"


def read_teacher(folder: Path, summary: DataSummary) -> Teacher:
    """The teacher in a model folder.

    Args:
        folder: written by `train` or `nn.model_folder.write_model`.
        summary: the corpus that the student learns.

    Raises:
        TrainingError: it is no model folder, is damaged, or is of another vocabulary.
    """
    teacher, _ = _read(folder, summary, "teacher")
    return Teacher(teacher)


def load_initial(
    transformer: Transformer, folder: Path, summary: DataSummary, space_digest: str | None = None
) -> None:
    """Replaces the weights of a model by those in a folder, of the same sizes.

    Args:
        transformer: the model that will be trained.
        folder: written by `train` or `nn.model_folder.write_model`.
        summary: the corpus that it learns.
        space_digest: the search space that the weights must have been trained for, if the folder names one.

    Raises:
        TrainingError: it is no model folder, is damaged, or is of another vocabulary or another place of the norms.
        SpaceError: it is of another architecture, or the supernet of another space.
    """
    initial, info = _read(folder, summary, "initial model")
    if initial.maximum != transformer.maximum:
        larger = slice_error(transformer.maximum, initial.maximum)
        asks = f": {larger.key}={larger.value} is asked for, there is {larger.allowed}" if larger else ""
        raise SpaceError(
            f"the initial model has another architecture ({sizes_in_words(initial.maximum)}) than the one to train "
            f"({sizes_in_words(transformer.maximum)}){asks}",
            file=folder / SIZES,
            key="initial",
            hint="Extract the architecture from its supernet, or begin with random weights",
        )
    if space_digest is not None and info.get("space", space_digest) != space_digest:
        raise SpaceError(
            f"the initial model is the supernet of another space (digest {info['space']}, not {space_digest})",
            file=folder / SIZES,
            key="initial",
            hint="Train it anew, or search the space that it was trained for",
        )
    if initial.config.pre_norm != transformer.config.pre_norm:
        raise TrainingError(
            f"the initial model has pre_norm={initial.config.pre_norm}, the one to train "
            f"{transformer.config.pre_norm}",
            file=folder / SIZES,
            key="model.pre_norm",
            hint="Use the same for both",
        )
    transformer.load_state_dict(initial.state_dict(), strict=True)


def _read(folder: Path, summary: DataSummary, what: str) -> tuple[Transformer, dict[str, Any]]:
    try:
        transformer = read_model(folder)
        info = json.loads((folder / SIZES).read_bytes())
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise TrainingError(
            f"the {what} is missing or damaged: {error}",
            file=folder,
            hint="Name a folder with model.json and model.safetensors, such as a finished supernet's",
        ) from error
    if transformer.config.vocab_size != summary.vocab_size:
        raise TrainingError(
            f"the {what} has a vocabulary of {transformer.config.vocab_size} pieces, the corpus one of "
            f"{summary.vocab_size}",
            file=folder / SIZES,
            hint=_RETRAIN,
        )
    if info.get("segmenter", summary.segmenter) != summary.segmenter:
        raise TrainingError(
            f"the {what} has another vocabulary of {summary.vocab_size} pieces than the corpus (segmenter "
            f"{info['segmenter']}, not {summary.segmenter})",
            file=folder / SIZES,
            hint=_RETRAIN,
        )
    return transformer, info


def sizes_in_words(arch: Architecture) -> str:
    """Tells an architecture from others in a message: depths, dimensions and digest."""
    encoder, decoder = arch.encoder, arch.decoder
    layers = f"{len(encoder.layers)}+{len(decoder.layers)} layers, dimensions {encoder.dim} and {decoder.dim}"
    return f"{layers}, digest {arch.digest}"
