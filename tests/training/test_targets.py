"""Trainings on other targets than the references."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.data import IdArray, PreparedData, write_ids
from automoe.errors import ConfigError, DataError, TrainingError
from automoe.files import sealed_json, sha256_of
from automoe.training.distributed import Place
from automoe.training.log import read_log
from automoe.training.loop import run
from automoe.training.targets import digest_of_targets, identity_of, read_targets
from automoe.training.task import IdSentences
from automoe.training.train import TrainingJob, train
from tests.training.in_process import trainer_of
from tests.training.job import tiny_job

VOCAB_SIZE = 200


def reversed_sentences(prepared):
    """The references read backwards: other translations of other orders, of the same lengths."""
    return [np.append(ids_L[-2::-1], ids_L[-1]) for ids_L in prepared.ids("train", "tgt")]


@pytest.fixture(scope="module")
def targets(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("targets") / "train.teacher"
    write_ids(path, reversed_sentences(PreparedData.open(data)), VOCAB_SIZE)
    return path


@pytest.fixture(scope="module")
def replaced(data, tmp_path_factory):
    """A prepared corpus whose training references are the targets."""
    folder = tmp_path_factory.mktemp("replaced") / "data"
    shutil.copytree(data, folder)
    write_ids(folder / "ids" / "train.tgt", reversed_sentences(PreparedData.open(data)), VOCAB_SIZE)
    summary = json.loads((folder / "data.json").read_text())
    summary["files"] = {name: sha256_of(folder / name) for name in summary["files"]}
    del summary["checksum"]
    (folder / "data.json").write_text(sealed_json(summary))
    return folder


def job_of(data, **parts):
    job = tiny_job(data, max_updates=2, validate_every=2, max_tokens=256, warmup_updates=1)
    return replace(job, **parts)


def ran(job, folder):
    folder.mkdir()
    run(job, folder, Place())
    return folder


@pytest.fixture(scope="module")
def ours(data, targets, tmp_path_factory):
    """A finished training on the targets."""
    return ran(job_of(data, targets=targets), tmp_path_factory.mktemp("ours") / "run")


@pytest.fixture(scope="module")
def its(replaced, tmp_path_factory):
    """One on the corpus whose references they are."""
    return ran(job_of(replaced), tmp_path_factory.mktemp("its") / "run")


def test_training_on_targets_is_training_on_a_corpus_that_has_them_for_references(targets, ours, its):
    assert (ours / "model.safetensors").read_bytes() == (its / "model.safetensors").read_bytes()
    assert (ours / "training.jsonl").read_bytes() == (its / "training.jsonl").read_bytes()
    info = json.loads((ours / "model.json").read_text())
    assert info.pop("targets_sha256") == digest_of_targets(targets)
    assert info == json.loads((its / "model.json").read_text())


def test_targets_alone_are_learnt_to_the_end_though_the_loss_of_the_references_rises(
    data, targets, undisturbed, tmp_path
):
    job = job_of(data, targets=targets, initial=undisturbed)
    job = replace(job, training=replace(job.training, lr=0.05, validate_every=1))
    folder = ran(job, tmp_path / "run")
    losses = [record["nll_loss"] for record in read_log(folder) if record["kind"] == "valid"]
    made = json.loads((folder / "model.json").read_bytes())
    assert min(losses) == losses[0] < losses[-1]
    assert (made["update"], made["valid_nll"]) == (2, losses[-1])


def test_with_its_references_every_source_stands_twice_in_an_epoch(data, targets, tmp_path):
    prepared = PreparedData.open(data)
    trainer, batches = trainer_of(job_of(data, targets=targets, keep_references=True), tmp_path)

    def pairs_of(sample):
        sources, lengths = sample["net_input"]["src_tokens"], sample["net_input"]["src_lengths"]
        for source, length, target in zip(sources, lengths, sample["target"], strict=True):
            yield tuple(source[:length].tolist()), tuple(target[target != 1].tolist())

    seen = sorted(pair for [batch] in batches for pair in pairs_of(batch))
    sources = [tuple(ids_L.tolist()) for ids_L in prepared.ids("train", "src")]
    kinds = (prepared.ids("train", "tgt"), IdArray.open(targets))
    assert seen == sorted(
        (source, tuple(ids_L.tolist())) for ids in kinds for source, ids_L in zip(sources, ids, strict=True)
    )
    assert len(trainer.task.dataset("valid")) == len(prepared.ids("valid", "src"))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), min_size=1, max_size=5), st.integers(1, 3))
def test_sentences_of_several_arrays_follow_each_other(sentences, times):
    offsets = np.cumsum([0, *map(len, sentences)])
    ids = IdArray(np.concatenate(sentences), offsets)
    joined = IdSentences(*[ids] * times)
    assert [joined[index].tolist() for index in range(len(joined))] == sentences * times
    assert joined.sizes.tolist() == [len(sentence) for sentence in sentences * times]


def broken(data, path, change):
    sentences = list(PreparedData.open(data).ids("train", "tgt"))
    change(sentences)
    write_ids(path, sentences, VOCAB_SIZE)
    return path


@pytest.mark.parametrize(("change", "problem"), [
    (lambda s: s.pop(), r"holds (\d+) sentences, the corpus has (?!\1)\d+ training pairs"),
    (lambda s: s.__setitem__(3, np.array([5, 200, 2])), "sentence 4 has the id 200, the vocabulary has 200 pieces"),
    (lambda s: s.__setitem__(3, np.array([5, 6])), "sentence 4 does not end in </s>, the id 2"),
    (lambda s: s.__setitem__(0, np.array([], np.int64)), "sentence 1 does not end in </s>"),
    (lambda s: s.__setitem__(slice(None), [np.array([], np.int64)] * len(s)), "sentence 1 does not end in </s>"),
])  # fmt: skip
def test_targets_that_are_no_translations_of_the_corpus_are_refused(data, tmp_path, change, problem):
    with pytest.raises(DataError, match=rf"broken\.npy: {problem}.*Make the translations anew"):
        read_targets(broken(data, tmp_path / "broken", change), PreparedData.open(data))


def test_a_translation_that_fits_into_no_batch_is_refused_and_its_file_named(data, tmp_path):
    path = broken(data, tmp_path / "long", lambda s: s.__setitem__(3, np.array([5] * 300 + [2])))
    for job in (job_of(data, targets=path), job_of(data, targets=path, keep_references=True)):
        with pytest.raises(TrainingError, match=r"long: training.max_tokens=256: a translation .* has 301 tokens"):
            ran(job, tmp_path / str(job.keep_references))


def test_missing_targets_are_named(data, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.npy: there is no such id array"):
        ran(job_of(data, targets=tmp_path / "nowhere"), tmp_path / "out")


def test_a_training_whose_targets_changed_is_refused_and_stays_as_it_is(data, targets, ours, tmp_path):
    job, folder = job_of(data, targets=targets), ours
    job.write(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    other = broken(data, tmp_path / "other", lambda s: s.reverse())
    for changed in ({"targets": other}, {"targets": None}, {"keep_references": True}):
        with pytest.raises(TrainingError, match="another training: the set of training targets differs"):
            train(replace(job, **changed), folder)
        assert {path: path.read_bytes() for path in before} == before
    trainer, _ = trainer_of(replace(job, targets=other), tmp_path)
    with pytest.raises(TrainingError, match="the set of training targets differs"):
        trainer.load_checkpoint(str(folder / "checkpoints" / "checkpoint_00000002.pt"))


def test_checkpoints_from_before_there_were_targets_are_of_the_references(replaced, its, tmp_path):
    state = torch.load(its / "checkpoints" / "checkpoint_00000002.pt", weights_only=True)
    assert state["task_state"].pop("targets") == identity_of(None, keep_references=False)
    file = tmp_path / "old.pt"
    torch.save(state, file)
    trainer, _ = trainer_of(job_of(replaced), tmp_path)
    trainer.load_checkpoint(str(file))
    assert trainer.get_num_updates() == 2


def test_a_job_reads_back_and_an_old_one_has_the_references(data, targets, tmp_path):
    for job in (job_of(data), job_of(data, targets=targets, keep_references=True)):
        job.write(tmp_path)
        assert TrainingJob.read(tmp_path).to_dict() == job.to_dict()
    form = job_of(data).to_dict()
    del form["targets"], form["keep_references"], form["training"]["average"], form["training"]["patience"]
    (tmp_path / "job.json").write_text(json.dumps(form))
    assert TrainingJob.read(tmp_path).to_dict() == job_of(data).to_dict()


def test_references_are_kept_beside_targets_only(data):
    with pytest.raises(ConfigError, match=r"keep_references=True: .*no `targets`"):
        job_of(data, keep_references=True)
    with pytest.raises(TrainingError, match=r"no other targets.*--train-targets"):
        identity_of(None, keep_references=True)
