"""Stage `teacher`: who teaches the chosen sub-transformer, and where that is wanted its translations of the corpus.

It holds `teacher.json` (who, and the validation loss); `member_0/`, `member_1/`, ... (copies of the models that
`teacher.models` names) or `trained/` (the supernet's largest sub-transformer, if it was trained on), neither where
the supernet teaches as it is; and for sequence-level distillation the id array `targets`. It depends on no budget, so
that the models of several budgets share it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from automoe.bundle import MANIFEST_FILE, PRECISIONS, SEGMENTER_FILE, read_bundle
from automoe.data import PreparedData
from automoe.decoding import Stepper
from automoe.decoding.segmenter import Segmenter
from automoe.distill.sequences import translate_sources
from automoe.distill.teacher import ModelTeacher, Teacher, validation_nll
from automoe.errors import ConfigError, TrainingError
from automoe.files import PARTIAL, digest_of, finish_folder, sha256_of, write_json
from automoe.nn import TransformerConfig
from automoe.nn.model_folder import write_model
from automoe.pipeline.config import DecodingConfig, ModelConfig, RunConfig, TeacherSection
from automoe.pipeline.files import TEACHER
from automoe.pipeline.manifest import finished_siblings
from automoe.pipeline.section import training_of
from automoe.pipeline.shipping import ship
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.runtime.backend import check_device, find_backend, graphs_for
from automoe.runtime.torch_backend import load_transformer
from automoe.training.config import TrainingConfig
from automoe.training.reuse import reuse_training
from automoe.training.teachers import copy_teacher, read_teacher, teacher_files
from automoe.training.train import TrainingJob, train

TARGETS = "targets"
"""Id array of its translations of the training sources."""
_TRAINED, _MEMBER = "trained", "member_"
_VERSION = 1
_BACKENDS = {"cpu": "onnx", "cuda": "torch"}
_SCRATCH = f"bundle{PARTIAL}"


@dataclass(frozen=True, kw_only=True)
class TeacherPart:
    """What the teacher depends on beside the corpus and the supernet."""

    teacher: TeacherSection
    translates: bool
    """Whether its translations of the training sources are learnt."""
    model: ModelConfig | None
    """Of a teacher that is trained on."""
    unused: bool = field(metadata={"hashed": False})
    """Whether the student learns nothing from it, and begins with none of its weights."""


def _part(config: RunConfig) -> TeacherPart:
    teacher, translates = config.teacher, config.distill.targets != "references"
    # What is not read shall not be hashed.
    if not teacher.train:
        teacher = replace(teacher, training=TrainingConfig())
    if not translates:
        usual = TeacherSection()
        teacher = replace(teacher, beam=usual.beam, length_penalty=usual.length_penalty)
    return TeacherPart(
        teacher=teacher,
        translates=translates,
        model=config.model if teacher.train else None,
        unused=config.distill.share == 0 and not translates and config.distill.initial != "teacher",
    )


def _fingerprint(part: TeacherPart) -> dict[str, str]:
    found = {}
    for number, name in enumerate(part.teacher.models):
        path = Path(name)
        files = (path / MANIFEST_FILE,) if _is_bundle(path) else teacher_files(path)  # its manifest has all checksums
        found[f"model {number}"] = digest_of([sha256_of(file) for file in files])
    return found


def _check(part: TeacherPart) -> None:
    kind = part.teacher.device.partition(":")[0]
    if kind not in _BACKENDS:
        raise ConfigError("teacher.device", part.teacher.device, allowed="cpu, cuda, cuda:1, ...")
    check_device(_BACKENDS[kind], part.teacher.device, "teacher.device")


def _run(part: TeacherPart, inputs: Inputs, out: Path) -> None:
    prepared = PreparedData.open(inputs["data"])
    if part.unused and (part.teacher.train or part.teacher.models):
        print(
            "teacher: warning: nothing is learnt from it: distill.share is 0, distill.targets are the references. "
            "distill=word learns its predictions, distill=sequence its translations",
            file=sys.stderr,
            flush=True,
        )
    if part.teacher.train:
        _train_on(part, inputs, prepared, out)
    for number, name in enumerate(part.teacher.models):
        if not (out / f"{_MEMBER}{number}").exists():
            _copy(Path(name), out / f"{_MEMBER}{number}", prepared)
    folders = teacher_folders(out, inputs.folders.get("supernet"))
    teacher = read_teacher(folders, prepared)
    if part.translates:
        translate_sources(
            _stepper(part.teacher, teacher, folders, prepared, out),
            prepared.ids("train", "src"),
            part.teacher.search(),
            out,
            made_by=digest_of([sha256_of(file) for folder in folders for file in teacher_files(folder)]),
            vocab_size=prepared.summary.vocab_size,
            batch_size=part.teacher.batch_size,
            references=prepared.ids("train", "tgt"),
        )
    write_json(out / TEACHER, {"models": _who(part), "valid_nll": validation_nll(teacher, prepared)})


def teacher_folders(folder: Path, supernet: Path | None) -> list[Path]:
    """The folders of those who teach, for `training.teachers.read_teacher`.

    Args:
        folder: of the stage.
        supernet: folder of the stage `supernet`, if the run has one: it teaches where nobody else does.
    """
    if members := sorted(folder.glob(f"{_MEMBER}*"), key=lambda path: int(path.name.removeprefix(_MEMBER))):
        return members
    if (folder / _TRAINED).exists():
        return [folder / _TRAINED]
    assert supernet is not None, "a run without a supernet names its teachers"
    return [supernet]


def translates(folder: Path) -> bool:
    """Whether the finished stage in `folder` holds translations of the training sources."""
    return (folder / f"{TARGETS}.json").exists()


def _train_on(part: TeacherPart, inputs: Inputs, prepared: PreparedData, out: Path) -> None:
    """Trains the supernet's largest sub-transformer by itself, from the weights that it has there."""
    assert part.model is not None, "of a teacher that is trained on"
    largest = trained_model(inputs["supernet"]).maximum
    job = TrainingJob(
        data=inputs["data"],
        architecture=largest,
        model=TransformerConfig(vocab_size=prepared.summary.vocab_size, **asdict(part.model)),
        training=part.teacher.training,
        seed=inputs.seed,
        initial=inputs["supernet"],
    )
    # The same teacher may stand in another result: one that translates, or one that does not.
    others = [folder / _TRAINED for folder in finished_siblings(out, _VERSION)]
    with training_of("teacher"):
        if not reuse_training(job, out / _TRAINED, others):
            train(job, out / _TRAINED)


def _copy(path: Path, out: Path, prepared: PreparedData) -> None:
    """Copies a model that teaches into the run, whole or not at all."""
    if not _is_bundle(path):
        copy_teacher(path, out, prepared)
        return
    bundle = read_bundle(path)
    segmenter = Segmenter.from_file(bundle.path(SEGMENTER_FILE), bundle.manifest.placeholder_pattern)
    if segmenter.digest != prepared.summary.segmenter:
        raise TrainingError(
            f"the teacher has another vocabulary than the corpus (segmenter {segmenter.digest}, not "
            f"{prepared.summary.segmenter})",
            file=path,
            key="teacher.models",
            hint="Name a model of this corpus, or use the corpus that it was trained on",
        )
    aside = out.with_name(out.name + PARTIAL)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    write_model(load_transformer(bundle), aside, segmenter=segmenter.digest)
    finish_folder(aside, out)


def _is_bundle(path: Path) -> bool:
    return (path / MANIFEST_FILE).is_file() and (path / SEGMENTER_FILE).is_file()


def _who(part: TeacherPart) -> list[str]:
    """Those who teach, in words, without their paths."""
    if part.teacher.models:
        return ["/".join(Path(name).parts[-3:]) for name in part.teacher.models]
    return ["the largest sub-transformer, trained on" if part.teacher.train else "the largest sub-transformer"]


def _stepper(
    section: TeacherSection, teacher: Teacher, folders: Sequence[Path], prepared: PreparedData, out: Path
) -> Stepper:
    """What translates: one model of ours in the runtime that is shipped, which is the fastest; others as they are.

    Raises:
        ConfigError: the teacher is to translate on a GPU, but it is not one model of ours.
    """
    if not isinstance(teacher, ModelTeacher):
        if section.device != "cpu":
            what = "an ensemble" if len(folders) > 1 else "a model of fairseq's"
            raise ConfigError("teacher.device", section.device, f"{what} translates on the CPU alone", allowed="cpu")
        return teacher.stepper()
    backend, precision = _BACKENDS[section.device.partition(":")[0]], PRECISIONS[0]
    scratch, graphs = out / _SCRATCH, graphs_for(backend, precision)
    try:
        bundle = ship(trained_model(folders[0]), scratch, prepared, DecodingConfig(), {}, precisions=graphs)
        return find_backend(backend)(bundle, threads=section.threads, precision=precision, device=section.device)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)  # the stepper holds what it needs


TEACH = Stage(
    name="teacher",
    run=_run,
    part=_part,
    needs=("data", "supernet"),
    fingerprint=_fingerprint,
    check=_check,
    version=_VERSION,
)
TEACH_ONE = replace(TEACH, needs=("data",))
"""The same for a run of one architecture, which names its teachers."""
