"""Stage `distill`: the chosen sub-transformer goes on learning by itself, from the references, a teacher, or both.

It holds what a training holds (`model.safetensors`, `model.json`, `training.jsonl`, `checkpoints/`), in `inherited/`
the weights that it has in the supernet, and in `distillation.json` the losses of all three: teacher, beginning, end.
Where one architecture is given, there is no supernet; it learns from `teacher.models`.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from automoe.data import PreparedData
from automoe.distill.teacher import ModelTeacher, validation_nll
from automoe.errors import ConfigError
from automoe.files import read_json, write_json
from automoe.nn import TransformerConfig
from automoe.nn.model_folder import SIZES, read_model, write_model
from automoe.pipeline.config import DistillSection, ModelConfig, RunConfig
from automoe.pipeline.files import DISTILLATION, INHERITED, TEACHER
from automoe.pipeline.manifest import finished_siblings
from automoe.pipeline.section import training_of
from automoe.pipeline.select import chosen_architecture
from automoe.pipeline.shipping import sub_transformer
from automoe.pipeline.spaces import SpacePart, space_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.pipeline.teacher import TARGETS, teacher_folders
from automoe.space import Architecture
from automoe.training.inherit import initial_from_teacher
from automoe.training.objective import DistillObjective
from automoe.training.reuse import reuse_training
from automoe.training.train import TrainingJob, train

_FROM_TEACHER = "from_teacher"
_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class DistillPart:
    """What the training depends on beside data, supernet, teacher and choice."""

    model: ModelConfig
    distill: DistillSection


def _part(config: RunConfig) -> DistillPart:
    return DistillPart(model=config.model, distill=config.distill)


def _run(part: DistillPart, inputs: Inputs, out: Path) -> None:
    prepared = PreparedData.open(inputs["data"])
    arch = chosen_architecture(inputs["select"])
    inherited = out / INHERITED
    if not (inherited / SIZES).exists():  # written last
        inherited.mkdir(exist_ok=True)
        model = sub_transformer(trained_model(inputs["supernet"]), arch)
        write_model(model, inherited, segmenter=prepared.summary.segmenter)
    _distill(part, inputs, out, prepared, arch, inherited)


def _distill(
    part: DistillPart, inputs: Inputs, out: Path, prepared: PreparedData, arch: Architecture, inherited: Path | None
) -> None:
    model = TransformerConfig(vocab_size=prepared.summary.vocab_size, **asdict(part.model))
    teachers = teacher_folders(inputs["teacher"], inputs.folders.get("supernet"))
    initial = {"inherited": inherited, "random": None, "teacher": out / _FROM_TEACHER}[part.distill.initial]
    if part.distill.initial == "teacher" and not (out / _FROM_TEACHER / SIZES).exists():
        initial_from_teacher(arch, model, teachers, inputs.seed, out / _FROM_TEACHER, prepared.summary)
    job = TrainingJob(
        data=inputs["data"],
        architecture=arch,
        model=model,
        training=part.distill.training,
        seed=inputs.seed,
        objective=DistillObjective(teachers=tuple(teachers) if part.distill.share else (), config=part.distill),
        initial=initial,
        targets=None if part.distill.targets == "references" else inputs["teacher"] / TARGETS,
        keep_references=part.distill.targets == "both",
    )
    teacher_nll = float(read_json(inputs["teacher"] / TEACHER)["valid_nll"])
    begins_nll = None if initial is None else validation_nll(ModelTeacher(read_model(initial)), prepared)
    warned = begins_nll is not None and warn_of_teacher(teacher_nll, begins_nll, "begins", part.distill)
    with training_of("distill"):
        # The same architecture may have been chosen under another budget.
        if not reuse_training(job, out, finished_siblings(out, _VERSION)):
            train(job, out)
    ends_nll = float(read_json(out / SIZES)["valid_nll"])
    if not warned:
        warn_of_teacher(teacher_nll, ends_nll, "ends", part.distill)
    write_json(
        out / DISTILLATION,
        {"teacher_nll": teacher_nll, "begins_nll": begins_nll, "ends_nll": ends_nll},
    )


def warn_of_teacher(teacher_nll: float, student_nll: float, when: str, config: DistillSection) -> bool:
    """Says with numbers on stderr that a student knows more than who teaches it.

    Args:
        teacher_nll: validation loss of the teacher.
        student_nll: of the student.
        when: it `begins` or `ends` like this.
        config: what it learns from.

    Returns:
        Whether that was said: not where nothing is learnt from the teacher.
    """
    if student_nll >= teacher_nll or (config.share == 0 and config.targets == "references"):
        return False
    print(
        f"distill: warning: the student {when} better than its teacher: validation loss {student_nll:.4f}, the "
        f"teacher's {teacher_nll:.4f} nats a token. A better teacher may help (teacher=trained, teacher.models), or "
        "learning less from this one (distill.share)",
        file=sys.stderr,
        flush=True,
    )
    return True


DISTILL = Stage(
    name="distill", run=_run, part=_part, needs=("data", "supernet", "select", "teacher"), version=_VERSION
)


@dataclass(frozen=True, kw_only=True)
class DistillOnePart(DistillPart):
    """The same for one given architecture."""

    space: SpacePart


def _part_of_one(config: RunConfig) -> DistillOnePart:
    return DistillOnePart(model=config.model, distill=config.distill, space=space_part(config))


def _check_one(part: DistillOnePart) -> None:
    if part.distill.initial == "inherited":
        raise ConfigError(
            "distill.initial",
            part.distill.initial,
            "one architecture is given, so there is no supernet to inherit from",
            allowed="random, teacher",
        )


def _run_one(part: DistillOnePart, inputs: Inputs, out: Path) -> None:
    prepared = PreparedData.open(inputs["data"])
    _distill(part, inputs, out, prepared, part.space.space.largest(), None)


DISTILL_ONE = Stage(
    name="distill", run=_run_one, part=_part_of_one, needs=("data", "teacher"), check=_check_one, version=_VERSION
)
