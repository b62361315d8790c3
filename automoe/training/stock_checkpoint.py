"""The model in a checkpoint of fairseq's own `transformer`, with the dictionaries that it was trained on.

A folder of such a model holds `checkpoint.pt` (weights and configuration, nothing of the training) and the
dictionaries `dict.LANGUAGE.txt`; `automoe convert --to fairseq` writes the same of a dense model of ours.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_INV_REGISTRY
from fairseq.models.transformer import TransformerModel

from automoe.errors import TrainingError
from automoe.training.checkpoint_file import CheckpointFile
from automoe.training.inherit import STOCK_CHECKPOINT

ARCHITECTURES = tuple(ARCH_MODEL_INV_REGISTRY["transformer"])
"""Names under which fairseq registers sizes of its transformer."""
_START_FILES = frozenset({"encoder_embed_path", "decoder_embed_path"})
"""Settings that name files of weights to begin a training with."""
_BESIDE = "Put the dictionaries of the data folder that it was trained on beside the checkpoint"


def copy_stock(checkpoint: CheckpointFile, out: Path) -> None:
    """Writes weights, configuration and dictionaries, and nothing of the training, into the folder `out`.

    Raises:
        TrainingError: the checkpoint is of another architecture or names no languages, or a dictionary is missing.
    """
    settings = _settings(checkpoint)
    for file in _dictionary_files(checkpoint):
        if not file.is_file():
            raise TrainingError(
                "the dictionary of the teacher is missing",
                file=file,
                key="teacher.models",
                value=str(checkpoint.file),
                hint=_BESIDE,
            )
        shutil.copyfile(file, out / file.name)
    task = {name: checkpoint.task[name] for name in ("source_lang", "target_lang")}
    content = {"args": None, "cfg": {"model": settings, "task": task}, "model": dict(checkpoint.weights)}
    torch.save(content, out / STOCK_CHECKPOINT)


def read_dictionaries(checkpoint: CheckpointFile) -> tuple[Dictionary, Dictionary]:
    """fairseq's dictionaries of source and target, which stand beside the checkpoint.

    Raises:
        TrainingError: the checkpoint names no languages, or a dictionary is damaged.
    """
    source, target = _dictionary_files(checkpoint)
    return _read_dictionary(source), _read_dictionary(target)


def build_stock(checkpoint: CheckpointFile, source: Dictionary, target: Dictionary) -> Any:
    """fairseq's model over these dictionaries, with its weights.

    Raises:
        TrainingError: it is of another architecture; or weights, configuration and dictionaries do not belong
            together.
    """
    settings = argparse.Namespace(**_settings(checkpoint))
    ARCH_CONFIG_REGISTRY[checkpoint.architecture](settings)  # fills in what older versions did not write
    task = SimpleNamespace(source_dictionary=source, target_dictionary=target)
    try:
        model = TransformerModel.build_model(settings, task)
        model.load_state_dict(dict(checkpoint.weights))
    except Exception as error:  # fairseq's are of any kind
        reason = " ".join(str(error).rstrip(". ").split())  # torch's has many lines
        raise TrainingError(
            f"weights, configuration and dictionaries of the teacher do not belong together: {reason}",
            file=checkpoint.file,
            hint=_BESIDE,
        ) from error
    return model


def _read_dictionary(file: Path) -> Dictionary:
    try:
        return Dictionary.load(str(file))
    except Exception as error:  # fairseq's are of any kind
        raise TrainingError(
            f"the dictionary of the teacher is missing or damaged: {error}", file=file, hint=_BESIDE
        ) from error


def _settings(checkpoint: CheckpointFile) -> dict[str, Any]:
    """What fairseq builds the model from: the settings that it knows."""
    model = checkpoint.model
    if checkpoint.architecture not in ARCHITECTURES or model.get("merge_src_tgt_embed"):
        raise TrainingError(
            f"the checkpoint is of fairseq's architecture {checkpoint.architecture!r}, which cannot teach",
            file=checkpoint.file,
            key="teacher.models",
            allowed=f"automoe_transformer, {', '.join(ARCHITECTURES)} (without --merge-src-tgt-embed)",
        )
    parser = argparse.ArgumentParser(allow_abbrev=False)
    TransformerModel.add_args(parser)
    known = {action.dest for action in parser._actions}
    names = sorted((known & model.keys()) - _START_FILES)
    return {"_name": checkpoint.architecture} | {name: model[name] for name in names}


def _dictionary_files(checkpoint: CheckpointFile) -> tuple[Path, Path]:
    source, target = (checkpoint.task.get(name) for name in ("source_lang", "target_lang"))
    if not source or not target:
        raise TrainingError(
            "the checkpoint does not name its languages",
            file=checkpoint.file,
            hint="Use one of fairseq's task `translation`, trained with --source-lang and --target-lang",
        )
    folder = checkpoint.file.parent
    return folder / f"dict.{source}.txt", folder / f"dict.{target}.txt"
