"""A training that takes the result of an equal one."""

import json
import shutil
from dataclasses import replace

import pytest

from automoe.data import PreparedData, write_ids
from automoe.distill import DistillConfig
from automoe.training import reuse
from automoe.training.distributed import Place
from automoe.training.loop import run
from automoe.training.reuse import reuse_training
from automoe.training.train import JOB, DistillObjective, TrainingJob, train
from tests.architectures import architecture, decoder_layer, encoder_layer
from tests.training.job import tiny_job

FILES = ("model.safetensors", "model.json", "training.jsonl", "training.log")


@pytest.fixture(scope="module")
def targets(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("targets") / "train.teacher"
    write_ids(path, list(PreparedData.open(data).ids("train", "tgt")), 200)
    return path


@pytest.fixture(scope="module")
def job(data, undisturbed, targets):
    job = tiny_job(data, max_updates=1, validate_every=1)
    return replace(job, initial=undisturbed, targets=targets)


@pytest.fixture(scope="module")
def finished(job, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    job.write(folder)
    run(job, folder, Place())
    (folder / "training.log").write_text("what it said\n")
    return folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def moved(job, folder):
    """The same initial weights and targets in other places."""
    shutil.copytree(job.initial, folder / "inherited")
    for ending in (".npy", ".offsets.npy"):
        shutil.copy(job.targets.with_name(job.targets.name + ending), folder / f"again{ending}")
    return replace(job, initial=folder / "inherited", targets=folder / "again")


@pytest.fixture
def launched(monkeypatch):
    """The calls of `launch`, which do nothing."""
    calls = []
    monkeypatch.setattr("automoe.training.train.launch", lambda *given, **_: calls.append(given) or (0, 0))
    return calls


def test_the_result_of_an_equal_training_is_taken_and_the_other_stays_as_it_is(job, finished, tmp_path, launched):
    before, again, out = contents(finished), moved(job, tmp_path), tmp_path / "out"
    assert reuse_training(again, out, [tmp_path / "nothing", out, finished])
    assert {name: (out / name).read_bytes() for name in FILES} == {name: before[name] for name in FILES}
    assert TrainingJob.read(out).to_dict() == again.to_dict()
    assert {path.name for path in out.iterdir()} == {*FILES, JOB}
    train(again, out)
    assert not launched  # it is finished
    assert (out / "model.safetensors").samefile(finished / "model.safetensors")
    with (out / "training.log").open("a") as stream:
        stream.write("more\n")
    assert reuse_training(again, out, [finished])  # over itself
    assert contents(finished) == before


def test_where_files_have_one_name_each_they_are_copied(job, finished, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError

    monkeypatch.setattr(reuse.os, "link", refused)
    assert reuse_training(job, tmp_path / "out", [finished])
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()
    assert not (tmp_path / "out" / "model.safetensors").samefile(finished / "model.safetensors")


def another_initial(job, folder):
    again = moved(job, folder)
    info = json.loads((again.initial / "model.json").read_text())
    (again.initial / "model.json").write_text(json.dumps(info | {"weights_sha256": "0" * 64}))
    return again


def other_targets(job, folder):
    again = moved(job, folder)
    write_ids(again.targets, list(PreparedData.open(job.data).ids("train", "src")), 200)
    return again


SMALLER = architecture(16, [encoder_layer(8, 16, 8, heads=2)], 12, [decoder_layer(8, heads=2, cross_heads=2)])


@pytest.mark.parametrize("change", [
    lambda job, _: replace(job, seed=job.seed + 1),
    lambda job, _: replace(job, training=replace(job.training, lr=0.001)),
    lambda job, _: replace(job, architecture=SMALLER),
    lambda job, _: replace(job, model=replace(job.model, dropout=0.0)),
    lambda job, folder: replace(job, data=folder),
    lambda job, _: replace(job, initial=None),
    lambda job, _: replace(job, targets=None),
    lambda job, _: replace(job, keep_references=True),
    another_initial,
    other_targets,
])  # fmt: skip
def test_the_result_of_another_training_is_not_taken(job, finished, tmp_path, change):
    assert not reuse_training(change(job, tmp_path), tmp_path / "out", [finished])
    assert not (tmp_path / "out").exists()


def test_the_result_of_a_student_of_another_teacher_is_not_taken(job, finished, tmp_path):
    def of(teacher, **settings):
        objective = DistillObjective(teachers=(tmp_path / teacher,), config=DistillConfig(**settings))
        return replace(job, objective=objective)

    student = tmp_path / "student"
    shutil.copytree(finished, student)
    of("teacher").write(student)
    for other in (of("another"), of("teacher", share=0.3), job):
        assert not reuse_training(other, tmp_path / "out", [student])
    assert reuse_training(of("teacher"), tmp_path / "out", [student])


def test_an_unfinished_or_damaged_result_is_not_taken(job, finished, tmp_path):
    for name in ("model.json", "model.safetensors", JOB, "training.jsonl"):
        shutil.copytree(finished, tmp_path / name)
        (tmp_path / name / name).unlink()
    shutil.copytree(finished, tmp_path / "torn")
    (tmp_path / "torn" / "model.safetensors").write_bytes(b"torn")
    assert not reuse_training(job, tmp_path / "out", sorted(tmp_path.iterdir()))
    assert not (tmp_path / "out").exists()


def test_what_is_half_taken_is_not_finished(job, finished, tmp_path, monkeypatch, launched):
    def killed(*_):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingJob, "write", killed)
        reuse_training(job, out, [finished])
    assert not (out / "model.json").exists()
    train(job, out)
    assert len(launched) == 1
