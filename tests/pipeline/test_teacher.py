"""Who teaches in a run: what decides it, where it is copied, and what its translations become."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("fairseq")

import torch

from automoe.bundle import read_bundle, write_bundle
from automoe.cli import main
from automoe.data import IdArray, PreparedData
from automoe.decoding import SearchConfig, search
from automoe.distill.teacher import ModelTeacher, validation_nll
from automoe.errors import ConfigError, TrainingError
from automoe.nn import TorchStepper
from automoe.nn.model_folder import read_model
from automoe.pipeline.config import DistillSection, RunConfig, TeacherSection
from automoe.pipeline.manifest import plain
from automoe.pipeline.stage import Inputs
from automoe.pipeline.teacher import TEACH, TEACH_ONE, teacher_folders, translates
from automoe.training.config import TrainingConfig
from automoe.training.teachers import read_teacher

SEQUENCES = DistillSection(share=0.0, targets="teacher")


def hashed(**sections):
    return plain(TEACH.part(RunConfig(**sections)))


def test_only_what_is_read_decides_who_teaches():
    usual = hashed()
    assert hashed(teacher=TeacherSection(training=TrainingConfig(lr=1.0))) == usual
    assert hashed(teacher=TeacherSection(beam=2)) == usual
    assert hashed(distill=DistillSection(share=0.7)) == usual
    assert hashed(teacher=TeacherSection(models=("elsewhere",))) == usual  # the content is in the fingerprint
    assert hashed(distill=SEQUENCES) != usual
    assert hashed(distill=SEQUENCES, teacher=TeacherSection(beam=2)) != hashed(distill=SEQUENCES)
    trained = TeacherSection(train=True)
    assert hashed(teacher=trained) != usual
    assert hashed(teacher=replace(trained, training=TrainingConfig(lr=1.0))) != hashed(teacher=trained)


def test_models_and_a_training_of_the_largest_exclude_each_other():
    with pytest.raises(ConfigError, match=r"teacher\.train"):
        TeacherSection(models=("a",), train=True)


@pytest.mark.parametrize(
    ("section", "key"),
    [({"beam": 0}, "beam"), ({"batch_size": 0}, "batch_size"), ({"threads": 0}, "threads")],
)
def test_impossible_settings_are_refused_by_name(section, key):
    with pytest.raises(ConfigError, match=key):
        TeacherSection(**section)


@pytest.mark.parametrize("device", ["tpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_before_anything_runs(device):
    with pytest.raises(ConfigError, match=r"teacher\.device"):
        TEACH.check(TEACH.part(RunConfig(teacher=TeacherSection(device=device))))


def inputs_of(run_dir, *stages):
    return Inputs(folders={name: run_dir / name / "current" for name in stages}, maybe_seed=1)


def taught(run_dir, out, *, stage=TEACH, stages=("data", "supernet"), **sections):
    """The stage carried out, and its folder."""
    out.mkdir()
    part = stage.part(RunConfig(**sections))
    stage.run(part, inputs_of(run_dir, *stages), out)
    return json.loads((out / "teacher.json").read_bytes())


def test_by_default_the_largest_of_the_supernet_teaches_and_nothing_is_copied(tiny_run, tmp_path):
    said = taught(tiny_run.run_dir, tmp_path / "out")
    supernet = tiny_run.run_dir / "supernet/current"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["teacher.json"]
    assert teacher_folders(tmp_path / "out", supernet) == [supernet]
    assert not translates(tmp_path / "out")
    panel = [json.loads(line) for line in (supernet / "training.jsonl").read_text().splitlines()][-1]["panel"]
    assert said["valid_nll"] == pytest.approx(panel["largest"], abs=1e-4)


def test_a_bundle_and_a_model_folder_teach_alike_and_stay_when_their_places_are_gone(tiny_run, tmp_path):
    distilled = tiny_run.run_dir / "distill/current"
    shutil.copytree(tiny_run.bundle, tmp_path / "bundle")
    shutil.copytree(distilled, tmp_path / "folder")
    models = (str(tmp_path / "bundle"), str(tmp_path / "folder"))
    out = tmp_path / "out"
    said = taught(tiny_run.run_dir, out, stage=TEACH_ONE, stages=("data",), teacher=TeacherSection(models=models))
    assert [name.rpartition("/")[2] for name in said["models"]] == ["bundle", "folder"]
    shutil.rmtree(tmp_path / "bundle")
    shutil.rmtree(tmp_path / "folder")
    prepared = PreparedData.open(tiny_run.run_dir / "data/current")
    folders = teacher_folders(out, None)
    assert [path.name for path in folders] == ["member_0", "member_1"]
    alone = ModelTeacher(read_model(distilled))
    source_BS, previous_BL = torch.tensor([[5, 6, 7, 2]]), torch.tensor([[2, 8, 9]])
    for folder in folders:
        logits_BLV = read_teacher([folder], prepared).logits(source_BS, previous_BL)
        torch.testing.assert_close(logits_BLV, alone.logits(source_BS, previous_BL))
    assert said["valid_nll"] == pytest.approx(validation_nll(alone, prepared), abs=1e-5)


def test_the_place_of_a_model_means_nothing_and_its_weights_everything(tiny_run, tmp_path):
    def fingerprint(path):
        return TEACH.fingerprint(TEACH.part(RunConfig(teacher=TeacherSection(models=(str(path),)))))

    for name in ("here", "there"):
        shutil.copytree(tiny_run.run_dir / "distill/current/inherited", tmp_path / name)
    assert fingerprint(tmp_path / "here") == fingerprint(tmp_path / "there")
    assert fingerprint(tmp_path / "here") != fingerprint(tiny_run.run_dir / "supernet/current")
    assert fingerprint(tiny_run.bundle) != fingerprint(tmp_path / "here")
    with pytest.raises(TrainingError, match=r"teacher\.models"):
        fingerprint(tmp_path)


@pytest.mark.parametrize("kind", ["model folder", "bundle"])
def test_a_teacher_of_another_vocabulary_is_refused_and_nothing_is_left(tiny_run, tmp_path, kind):
    foreign = tmp_path / "foreign"
    if kind == "bundle":
        bundle = read_bundle(tiny_run.bundle)
        files = {name: bundle.path(name) for name in bundle.manifest.files}
        write_bundle(foreign, replace(bundle.manifest, placeholder_pattern="<[a-z]+>"), files)
    else:
        shutil.copytree(tiny_run.run_dir / "supernet/current", foreign)
        sizes = json.loads((foreign / "model.json").read_bytes())
        (foreign / "model.json").write_text(json.dumps(sizes | {"segmenter": "0123456789ab"}))
    section = TeacherSection(models=(str(foreign),))
    with pytest.raises(TrainingError, match=f"{foreign}.*another vocabulary"):
        taught(tiny_run.run_dir, tmp_path / "out", teacher=section)
    assert not list((tmp_path / "out").iterdir())


@pytest.fixture(scope="module")
def sequenced(tiny_run, tmp_path_factory):
    """A copy of the tiny run whose student has learnt from a trained teacher's translations, and from the references.

    Its folder of runs, the settings, and what was said.
    """
    runs_dir = tmp_path_factory.mktemp("sequenced")
    shutil.copytree(tiny_run.run_dir, runs_dir / "tiny", symlinks=True)
    settings = (
        *("teacher=trained", "teacher.training.max_updates=2", "teacher.training.validate_every=2"),
        *("teacher.training.max_tokens=512", "teacher.beam=1", "distill.targets=both", "distill.share=0.25"),
        *("distill.training.max_updates=2", "distill.training.validate_every=2"),
    )
    command = tiny_run.command("distill", *settings, runs_dir=runs_dir)
    done = subprocess.run(command, env=tiny_run.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return runs_dir, settings, done.stderr


def current(runs_dir, stage):
    return Path(runs_dir / "tiny" / stage / "current").resolve()


def test_what_the_teacher_says_of_the_corpus_is_learnt(sequenced):
    runs_dir, _, said = sequenced
    teacher, student = current(runs_dir, "teacher"), current(runs_dir, "distill")
    job = json.loads((student / "job.json").read_bytes())
    assert Path(job["targets"]) == teacher / "targets" and job["keep_references"] is True
    assert job["objective"]["teachers"] == [str(teacher / "trained")]
    losses = json.loads((student / "distillation.json").read_bytes())
    assert losses["teacher_nll"] == json.loads((teacher / "teacher.json").read_bytes())["valid_nll"]
    assert losses["ends_nll"] <= losses["begins_nll"]
    begins, teaches = (f"{losses[name]:.4f}" for name in ("begins_nll", "teacher_nll"))
    warned = f"student begins better than its teacher: validation loss {begins}, the teacher's {teaches} nats"
    assert (warned in said) == (losses["begins_nll"] < losses["teacher_nll"])


def test_targets_are_the_translations_of_the_trained_teacher_or_the_references(sequenced, tiny_run):
    runs_dir, _, _ = sequenced
    folder, prepared = current(runs_dir, "teacher"), PreparedData.open(tiny_run.run_dir / "data/current")
    sources, references = prepared.ids("train", "src"), prepared.ids("train", "tgt")
    config = SearchConfig(beam=1)
    rows = range(0, len(sources), 16)
    found = search(TorchStepper(read_model(folder / "trained")), [sources[row] for row in rows], config)
    targets = IdArray.open(folder / "targets")
    for row, (hypothesis,) in zip(rows, found, strict=True):
        endless = len(hypothesis.tokens) > config.limit(len(sources[row]))
        assert targets[row].tolist() == (references[row] if endless else hypothesis.tokens).tolist()


def test_a_trained_teacher_that_does_not_translate_is_the_same_training(sequenced, tiny_run, capfd):
    runs_dir, settings, _ = sequenced
    before = current(runs_dir, "teacher")
    assert main(tiny_run.arguments("teacher", *settings, "distill.targets=references", runs_dir=runs_dir)) == 0
    after = current(runs_dir, "teacher")
    assert after != before and not (after / "targets.json").exists()
    weights = [folder / "trained/model.safetensors" for folder in (before, after)]
    assert weights[0].samefile(weights[1])
    assert "nothing is learnt from it" not in capfd.readouterr().err


def test_a_teacher_that_nothing_is_learnt_from_is_said(tiny_run, tmp_path, capsys):
    section = TeacherSection(models=(str(tiny_run.bundle),))
    taught(tiny_run.run_dir, tmp_path / "out", teacher=section, distill=DistillSection(share=0.0))
    assert "teacher: warning: nothing is learnt from it" in capsys.readouterr().err


def test_an_architecture_that_was_distilled_under_another_budget_is_not_trained_again(sequenced, tiny_run):
    runs_dir, settings, _ = sequenced
    before = current(runs_dir, "distill")
    selection = json.loads((runs_dir / "tiny/select/current/selection.json").read_bytes())
    # A limit on top that the chosen one keeps: another budget, the same choice.
    budget = f"budget.params_m={selection['costs']['params_m'][0] * 1.5}"
    assert main(tiny_run.arguments("distill", *settings, budget, runs_dir=runs_dir)) == 0
    after = current(runs_dir, "distill")
    assert after != before and not (after / "checkpoints").exists()
    assert (after / "model.safetensors").samefile(before / "model.safetensors")
