"""Weights from an earlier training: those that this one begins with, all of them or what a teacher has in common."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from automoe.data import DataSummary
from automoe.distill.non_experts import inherit_non_experts
from automoe.errors import SpaceError, TrainingError
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import SIZES, read_model, write_model
from automoe.space import Architecture, slice_error

STOCK_CHECKPOINT = "checkpoint.pt"
"""What the folder of a model of fairseq's own holds, instead of `model.json`."""

_RETRAIN = "Train that model anew on this corpus, or use the corpus that it was trained on"


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
    initial, info = read_fitting(folder, summary, "initial model")
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


def initial_from_teacher(
    architecture: Architecture,
    model: TransformerConfig,
    teachers: Sequence[Path],
    seed: int,
    out: Path,
    summary: DataSummary,
) -> None:
    """Writes the model that a student begins with: the teacher's weights, see `distill.inherit_non_experts`.

    Its experts and routers are those with which a training of the same seed begins that begins with no weights.

    Args:
        architecture: of the student.
        model: of the student.
        teachers: their folders, see `training.teachers`; only a single one of ours has weights to give.
        seed: of the training.
        out: folder for the model, made if it is missing; its `model.json` is written last.
        summary: the corpus.

    Raises:
        TrainingError: there is not one teacher of ours, or it is damaged or of another vocabulary.
        SpaceError: the student's depth, dimensions or heads are not the teacher's; it names the first.
    """
    if len(teachers) != 1 or (teachers[0] / STOCK_CHECKPOINT).is_file():
        what = "a model of fairseq's" if len(teachers) == 1 else f"an ensemble of {len(teachers)} models"
        raise TrainingError(
            f"the teacher is {what}, which has no weights that would fit",
            key="distill.initial",
            value="teacher",
            hint="Name a single model of ours in teacher.models, or use distill.initial=inherited or random",
        )
    teacher, _ = read_fitting(teachers[0], summary, "teacher")
    with torch.random.fork_rng(devices=[]):  # fresh weights come from the global generator, in a training too
        torch.manual_seed(seed)
        student = Transformer(architecture, model)
    inherit_non_experts(student, teacher)
    out.mkdir(parents=True, exist_ok=True)
    write_model(student, out, segmenter=summary.segmenter)


def read_fitting(folder: Path, summary: DataSummary, what: str) -> tuple[Transformer, dict[str, Any]]:
    """The model in a folder, if its vocabulary is the corpus's, and what `model.json` says of it.

    Args:
        folder: written by `train` or `nn.model_folder.write_model`.
        summary: the corpus.
        what: what the model is to the user, such as "teacher".

    Raises:
        TrainingError: it is no model folder, is damaged, or is of another vocabulary.
    """
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
