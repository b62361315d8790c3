"""Who may teach: models of ours, checkpoints of trainings, and fairseq's own `transformer`; one or several.

A run keeps its teachers as folders that depend on nothing outside: a model folder (`model.json`,
`model.safetensors`), or of fairseq's own model `checkpoint.pt` and two dictionaries. fairseq is imported only for
the latter, since that takes seconds.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from automoe.data import PreparedData
from automoe.distill.ensemble import EnsembleTeacher
from automoe.distill.teacher import ModelTeacher, Teacher
from automoe.errors import AutoMoEError, TrainingError
from automoe.files import PARTIAL, finish_folder
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import SIZES, WEIGHTS, write_model
from automoe.space import Architecture
from automoe.training.checkpoint_file import WHAT_TEACHES, CheckpointFile, check_numbers, read_checkpoint
from automoe.training.inherit import STOCK_CHECKPOINT, read_fitting
from automoe.training.same import MODEL, SEGMENTER

OURS = "automoe_transformer"
"""Name of our architecture in fairseq."""


def copy_teacher(path: Path, out: Path, prepared: PreparedData) -> None:
    """Makes of a model a folder that teaches by itself, whole or not at all.

    Args:
        path: a model folder, a checkpoint `.pt` of a training of ours or of fairseq's own `transformer` (then with
            the dictionaries beside it), or a folder that this function has written.
        out: the folder to write; what stands there is replaced.
        prepared: the corpus that is to be learnt.

    Raises:
        TrainingError: it can teach nothing, is damaged, or is of another vocabulary.
    """
    teacher_files(path)
    aside = out.with_name(out.name + PARTIAL)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        if (path / SIZES).is_file():
            _read_folder(path, prepared)
            for name in (WEIGHTS, SIZES):
                shutil.copyfile(path / name, aside / name)
        else:
            _copy_checkpoint(path / STOCK_CHECKPOINT if path.is_dir() else path, aside, prepared)
    except AutoMoEError:
        shutil.rmtree(aside)
        raise
    finish_folder(aside, out)


def teacher_files(path: Path) -> tuple[Path, ...]:
    """The files of a model whose content decides what it teaches.

    Args:
        path: as for `copy_teacher`.

    Raises:
        TrainingError: it is nothing that can teach; it says what can.
    """
    if (path / SIZES).is_file() and (path / WEIGHTS).is_file():
        return path / SIZES, path / WEIGHTS
    file = path / STOCK_CHECKPOINT if path.is_dir() else path
    if file.is_file() and file.suffix == ".pt":
        return file, *sorted(file.parent.glob("dict.*.txt"))
    problem = "holds no model that can teach" if path.exists() else "there is no such model"
    raise TrainingError(problem, file=path, key="teacher.models", allowed=WHAT_TEACHES)


def read_teacher(folders: Sequence[Path], prepared: PreparedData) -> Teacher:
    """The teacher in a folder, or the ensemble of those in several.

    Args:
        folders: model folders, of a supernet its largest sub-network; or folders that `copy_teacher` has written.
        prepared: the corpus that is to be learnt.

    Raises:
        TrainingError: one is missing, is damaged, is of another vocabulary, or has no positions for the longest
            sentence of the corpus.
    """
    if not folders:
        raise TrainingError("there is no teacher", key="teacher.models", allowed=WHAT_TEACHES)
    teachers = [_read_folder(folder, prepared) for folder in folders]
    return teachers[0] if len(teachers) == 1 else EnsembleTeacher(teachers)


def teachers_of_argument(argument: str) -> tuple[Path, ...]:
    """What `--teacher` means: a folder, or several as a list in JSON."""
    if argument.lstrip().startswith("["):
        return tuple(map(Path, json.loads(argument)))
    return (Path(argument),)


def _read_folder(folder: Path, prepared: PreparedData) -> Teacher:
    if (folder / STOCK_CHECKPOINT).is_file() and not (folder / SIZES).is_file():
        return _stock_teacher(read_checkpoint(folder / STOCK_CHECKPOINT), prepared)
    transformer, _ = read_fitting(folder, prepared.summary, "teacher")
    check_numbers(transformer.state_dict(), folder / WEIGHTS)
    return ModelTeacher(transformer)


def _copy_checkpoint(file: Path, aside: Path, prepared: PreparedData) -> None:
    checkpoint = read_checkpoint(file)
    if checkpoint.architecture == OURS:
        segmenter = checkpoint.task_state.get(SEGMENTER)
        write_model(_own_model(checkpoint), aside, **({} if segmenter is None else {"segmenter": segmenter}))
        _check_vocabulary(checkpoint, aside, prepared)
    else:
        from automoe.training.stock_checkpoint import copy_stock

        copy_stock(checkpoint, aside)
        _stock_teacher(checkpoint, prepared)


def _check_vocabulary(checkpoint: CheckpointFile, folder: Path, prepared: PreparedData) -> None:
    try:
        read_fitting(folder, prepared.summary, "teacher")
    except TrainingError as error:
        where = {"file": checkpoint.file}  # the user's, and not the copy
        raise TrainingError(**error.fields() | where) from error


def _own_model(checkpoint: CheckpointFile) -> Transformer:
    """The model of a training of ours, in float32."""
    settings = dict(checkpoint.model)
    weights = {
        name.removeprefix(MODEL): weight.float()
        for name, weight in checkpoint.weights.items()
        if name.startswith(MODEL)
    }
    try:
        fields = TransformerConfig(vocab_size=len(weights["embedding"])).to_dict()
        given = {name: settings[name] for name in fields.keys() & settings.keys()}
        config = TransformerConfig(**fields | given | {"pre_norm": not settings["post_norm"]})
        architecture = Architecture.from_dict(json.loads(settings["architecture"]))
        transformer = Transformer.without_weights(architecture, config)
        transformer.load_state_dict(weights, strict=True, assign=True)
    except (AutoMoEError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(f"the teacher is damaged: {error}", file=checkpoint.file) from error
    return transformer.eval()


def _stock_teacher(checkpoint: CheckpointFile, prepared: PreparedData) -> Teacher:
    from automoe.training.fairseq_teacher import FairseqTeacher

    teacher = FairseqTeacher(checkpoint, prepared.segmenter.pieces())
    for side, limit in zip(("src", "tgt"), teacher.longest, strict=True):
        longest = max(int(prepared.ids(split, side).lengths.max()) for split in ("train", "valid"))
        if longest > limit:
            raise TrainingError(
                f"the corpus has a sentence of {longest} tokens, the teacher has positions for {limit:.0f}",
                file=checkpoint.file,
                key="teacher.models",
                hint="Use another teacher, or prepare the corpus with a lower data.cleaning.max_tokens",
            )
    return teacher
