"""Which models may teach, and what a student takes from them in training."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from automoe.data import PreparedData
from automoe.decoding import EOS, SearchConfig, beam_search
from automoe.distill import DistillConfig
from automoe.distill.ensemble import EnsembleTeacher
from automoe.distill.teacher import ModelTeacher, validation_nll
from automoe.errors import ConfigError, SpaceError, TrainingError
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import SIZES, WEIGHTS, read_model, weights_as_bytes, write_model
from automoe.space import find_architecture, read_architecture
from automoe.training.distributed import Place
from automoe.training.inherit import STOCK_CHECKPOINT, initial_from_teacher
from automoe.training.loop import _fairseq_config
from automoe.training.objective import DistillObjective, PlainObjective
from automoe.training.teachers import copy_teacher, read_teacher, teacher_files, teachers_of_argument
from tests.architectures import DENSE, architecture, decoder_layer, encoder_layer
from tests.training.in_process import trainer_of
from tests.training.job import tiny_job

CONFIG = TransformerConfig(vocab_size=200)
SOURCE = np.array([7, 31, 5, EOS])


@pytest.fixture(scope="module")
def prepared(data):
    return PreparedData.open(data)


@pytest.fixture
def model_folder(prepared, tmp_path):
    """A supernet of random weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    torch.manual_seed(1)
    write_model(Transformer(DENSE, CONFIG), folder, segmenter=prepared.summary.segmenter)
    return folder


def checkpoint_of(training):
    """The checkpoint that holds the weights in a training's folder."""
    update = json.loads((training / SIZES).read_text())["update"]
    return training / "checkpoints" / f"checkpoint_{update:08d}.pt"


def test_the_validation_loss_of_a_teacher_is_what_its_training_logged(prepared, undisturbed):
    logged = json.loads((undisturbed / SIZES).read_text())["valid_nll"]
    for batch_tokens in (300, 4096):
        found = validation_nll(read_teacher([undisturbed], prepared), prepared, batch_tokens=batch_tokens)
        assert found == pytest.approx(logged, abs=2e-6)


def test_a_model_folder_is_copied_as_it_is_and_nothing_else_of_it(prepared, undisturbed, tmp_path):
    copy_teacher(undisturbed, tmp_path / "teacher", prepared)
    assert sorted(file.name for file in tmp_path.rglob("*")) == [SIZES, WEIGHTS, "teacher"]
    for file, copy in zip(teacher_files(undisturbed), teacher_files(tmp_path / "teacher"), strict=True):
        assert file.read_bytes() == copy.read_bytes()


def test_a_checkpoint_of_our_training_becomes_the_model_folder_of_its_weights(prepared, undisturbed, tmp_path):
    copy_teacher(checkpoint_of(undisturbed), tmp_path / "teacher", prepared)
    assert (tmp_path / "teacher" / WEIGHTS).read_bytes() == (undisturbed / WEIGHTS).read_bytes()
    taken, trained = (json.loads((folder / SIZES).read_text()) for folder in (tmp_path / "teacher", undisturbed))
    assert {key: trained[key] for key in taken} == taken and taken.keys() >= {"architecture", "model", "segmenter"}


def test_a_checkpoint_that_was_copied_may_go_and_what_stood_there_before_goes(
    prepared, undisturbed, model_folder, tmp_path
):
    shutil.copyfile(checkpoint_of(undisturbed), tmp_path / "theirs.pt")
    copy_teacher(tmp_path / "theirs.pt", model_folder, prepared)
    (tmp_path / "theirs.pt").unlink()
    assert (model_folder / WEIGHTS).read_bytes() == (undisturbed / WEIGHTS).read_bytes()


def test_several_folders_teach_together_and_one_alone(prepared, undisturbed, model_folder):
    assert isinstance(read_teacher([undisturbed], prepared), ModelTeacher)
    together = read_teacher([undisturbed, model_folder], prepared)
    assert isinstance(together, EnsembleTeacher)
    source, previous = torch.from_numpy(SOURCE)[None], torch.tensor([[EOS, 9]])
    each = [read_teacher([folder], prepared).logits(source, previous) for folder in (undisturbed, model_folder)]
    mean = sum(scores.softmax(dim=2) for scores in each) / 2
    torch.testing.assert_close(together.logits(source, previous).softmax(dim=2), mean)
    [[best]] = beam_search(together.stepper(), [SOURCE], SearchConfig(beam=1))
    assert best.tokens[-1] == EOS


@pytest.mark.parametrize("make", ["nothing", "empty folder", "text file"])
def test_what_is_no_model_is_told_what_is(prepared, tmp_path, make):
    path = tmp_path / "it"
    {"nothing": lambda: None, "empty folder": path.mkdir, "text file": lambda: path.write_text("x")}[make]()
    for function in (teacher_files, lambda path: copy_teacher(path, tmp_path / "out", prepared)):
        with pytest.raises(
            TrainingError, match=r"teacher\.models.*allowed: a model folder .*transformer with dict\."
        ):
            function(path)
    assert not (tmp_path / "out").exists()


def test_a_teacher_of_another_segmenter_is_refused_wherever_it_comes_from(prepared, undisturbed, tmp_path):
    other = SimpleNamespace(summary=replace(prepared.summary, segmenter="0a1b"), segmenter=prepared.segmenter)
    for path in (undisturbed, checkpoint_of(undisturbed)):
        with pytest.raises(TrainingError, match=r"the teacher has another vocabulary.*not 0a1b") as caught:
            copy_teacher(path, tmp_path / "out", other)
        assert caught.value.file.startswith(str(path))
        assert list(tmp_path.iterdir()) == []


def test_a_teacher_whose_weights_are_no_numbers_is_refused(prepared, model_folder):
    transformer = read_model(model_folder)
    with torch.no_grad():
        transformer.get_parameter("encoder_layers.1.self_norm.weight")[3] = torch.inf
    write_model(transformer, model_folder)
    with pytest.raises(TrainingError, match=r"NaN or infinite, first in 'encoder_layers\.1\.self_norm\.weight'"):
        read_teacher([model_folder], prepared)


def test_fairseq_hands_on_the_names_of_teachers_as_they_are(data, tmp_path):
    names = ["a, b=c", "it's", "${oc.env:HOME}", 'a "b" [0]', "back\\slash\\", "\\'", "ünder#:%", " ", "$x{"]
    folders = tuple(tmp_path / name for name in names)
    job = replace(tiny_job(data), objective=DistillObjective(teachers=folders, config=DistillConfig()))
    config = _fairseq_config(job, tmp_path, Place())
    assert teachers_of_argument(config.criterion.teacher) == folders
    assert teachers_of_argument(str(tmp_path / "one, two")) == (tmp_path / "one, two",)  # by hand


def test_a_share_needs_a_teacher():
    share = DistillConfig().share
    with pytest.raises(ConfigError, match=rf"distill\.share={share}: needs a teacher \(allowed: 0 without one\)"):
        DistillObjective(teachers=(), config=DistillConfig())


def test_without_a_share_no_teacher_is_read_and_the_steps_are_those_of_a_plain_training_to_the_bit(data, tmp_path):
    missing = DistillObjective(teachers=(tmp_path / "missing",), config=DistillConfig(share=0.0))
    weights, logged = [], []
    for objective in (PlainObjective(), missing):
        trainer, batches = trainer_of(replace(tiny_job(data), objective=objective), tmp_path)
        logged.append(
            [{k: float(trainer.train_step(batch)[k]) for k in ("loss", "nll_loss")} for batch in batches[:2]]
        )
        weights.append(trainer.get_model().state_dict())
    assert logged[0] == logged[1]
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())


STUDENT = architecture(
    16, [encoder_layer(32), encoder_layer(24)], 16, [decoder_layer(32), decoder_layer(24, 8, cross_layers=2)]
)


def test_a_student_begins_with_its_teachers_weights_and_elsewhere_as_without_any(
    data, prepared, model_folder, tmp_path
):
    initial_from_teacher(STUDENT, CONFIG, [model_folder], 7, tmp_path / "initial", prepared.summary)
    initial, teacher = read_model(tmp_path / "initial").state_dict(), read_model(model_folder).state_dict()
    trainer, _ = trainer_of(replace(tiny_job(data), architecture=STUDENT), tmp_path)  # of seed 7
    fresh = trainer.get_model().transformer.state_dict()
    of_student = {name for name in initial if ".experts." in name and "_layers.1." in name}
    assert len(of_student) == 4 + 9
    for name, weight in initial.items():
        assert torch.equal(weight, (fresh if name in of_student else teacher)[name]), name


def test_the_same_seed_begins_alike_and_the_global_generator_is_left_alone(prepared, model_folder, tmp_path):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for seed in (1, 1, 2):
        initial_from_teacher(STUDENT, CONFIG, [model_folder], seed, tmp_path / str(seed), prepared.summary)
    assert torch.equal(torch.get_rng_state(), before)
    assert weights_as_bytes(read_model(tmp_path / "1")) != weights_as_bytes(read_model(tmp_path / "2"))


def test_only_a_single_model_of_ours_gives_weights(prepared, model_folder, tmp_path):
    stock = tmp_path / "stock"
    stock.mkdir()
    (stock / STOCK_CHECKPOINT).touch()
    for teachers, what in (([stock], "a model of fairseq's"), ([model_folder] * 2, "an ensemble of 2 models")):
        with pytest.raises(
            TrainingError, match=f"distill.initial=teacher: the teacher is {what}.*inherited or random"
        ):
            initial_from_teacher(STUDENT, CONFIG, teachers, 1, tmp_path / "out", prepared.summary)
    with pytest.raises(SpaceError, match=r"encoder\.dim \d+, the teacher 16"):
        tiny = read_architecture(find_architecture("tiny"))
        initial_from_teacher(tiny, CONFIG, [model_folder], 1, tmp_path / "out", prepared.summary)
    assert not (tmp_path / "out").exists()
