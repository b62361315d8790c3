"""Weights of an earlier training that do not fit this one."""

from types import SimpleNamespace

import pytest
import torch

from automoe.errors import SpaceError, TrainingError
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import SIZES, WEIGHTS, weights_as_bytes, write_model
from automoe.training.inherit import load_initial
from automoe.training.teachers import read_teacher
from tests.architectures import DENSE, MAXIMUM

CONFIG = TransformerConfig(vocab_size=19)
SUMMARY = SimpleNamespace(vocab_size=19, segmenter="abc")
PREPARED = SimpleNamespace(summary=SUMMARY)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    write_model(Transformer(DENSE, CONFIG), tmp_path, segmenter="abc")
    return tmp_path


def test_weights_are_taken_over_as_they_are(folder):
    model = Transformer(DENSE, CONFIG)
    places = {name: weight.data_ptr() for name, weight in model.named_parameters()}
    load_initial(model, folder, SUMMARY)
    torch.manual_seed(0)
    for name, weight in Transformer(DENSE, CONFIG).named_parameters():
        assert torch.equal(model.get_parameter(name), weight)
        assert model.get_parameter(name).data_ptr() == places[name]  # the optimiser may hold them already


def test_another_architecture_is_named_with_both_sizes(folder):
    with pytest.raises(SpaceError, match=r"2\+2 layers, dimensions 16 and 16.*3\+3 layers, dimensions 32 and 24"):
        load_initial(Transformer(MAXIMUM, CONFIG), folder, SUMMARY)


def test_the_supernet_of_another_space_is_named_with_both_digests(folder):
    write_model(Transformer(DENSE, CONFIG), folder, space="0a1b")
    model = Transformer(DENSE, CONFIG)
    load_initial(model, folder, SUMMARY, space_digest="0a1b")
    load_initial(model, folder, SUMMARY)
    with pytest.raises(SpaceError, match=r"another space.*0a1b, not 2c3d.*Train it anew, or search the space that"):
        load_initial(model, folder, SUMMARY, space_digest="2c3d")


def test_a_model_that_does_not_say_its_space_is_told_by_its_architecture_alone(folder):
    model = Transformer(DENSE, CONFIG)
    load_initial(model, folder, SUMMARY, space_digest="2c3d")
    assert weights_as_bytes(model) == (folder / WEIGHTS).read_bytes()


def test_another_place_of_the_norms_is_named(folder):
    model = Transformer(DENSE, TransformerConfig(vocab_size=19, pre_norm=False))
    with pytest.raises(TrainingError, match=r"pre_norm=True, the one to train False"):
        load_initial(model, folder, SUMMARY)


@pytest.mark.parametrize(
    ("summary", "problem"),
    [
        (SimpleNamespace(vocab_size=31, segmenter="abc"), "vocabulary of 19 pieces, the corpus one of 31"),
        (SimpleNamespace(vocab_size=19, segmenter="def"), "another vocabulary of 19 pieces.*abc, not def"),
    ],
)
def test_another_vocabulary_is_named(folder, summary, problem):
    with pytest.raises(TrainingError, match=problem):
        load_initial(Transformer(DENSE, CONFIG), folder, summary)
    with pytest.raises(TrainingError, match=problem):
        read_teacher([folder], SimpleNamespace(summary=summary))


def test_a_model_that_does_not_say_its_segmenter_is_told_by_its_size_alone(tmp_path):
    write_model(Transformer(DENSE, CONFIG), tmp_path)
    assert read_teacher([tmp_path], PREPARED).vocab_size == 19


@pytest.mark.parametrize(
    ("file", "content"), [(SIZES, "{"), (SIZES, "{}"), (SIZES, "[]"), (WEIGHTS, "x"), (SIZES, None), (WEIGHTS, None)]
)
def test_a_damaged_folder_is_named(folder, file, content):
    (folder / file).unlink() if content is None else (folder / file).write_text(content)
    with pytest.raises(TrainingError, match="the teacher is missing or damaged") as caught:
        read_teacher([folder], PREPARED)
    assert caught.value.file == str(folder)
