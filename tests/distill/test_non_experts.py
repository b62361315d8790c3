"""Sparse to dense: what a student takes over from its teacher, and what it does not."""

from dataclasses import replace

import pytest
import torch

from automoe.distill.non_experts import inherit_non_experts
from automoe.errors import SpaceError, TrainingError
from automoe.nn import Transformer, TransformerConfig
from tests.architectures import architecture, decoder_layer, encoder_layer

CONFIG = TransformerConfig(vocab_size=19)
TEACHER = architecture(
    16,
    [encoder_layer(32), encoder_layer(16, 24, 8), encoder_layer(32)],
    12,
    [decoder_layer(32, 32), decoder_layer(8)],
)
STUDENT = architecture(
    16, [encoder_layer(32), encoder_layer(32), encoder_layer(24)], 12, [decoder_layer(32), decoder_layer(8, 8)]
)
"""Alike in the first layer; dense for experts; narrower; dense for experts of the same width; experts for dense."""
FRESH = ("encoder_layers.1.", "encoder_layers.2.", "decoder_layers.0.", "decoder_layers.1.")
"""Layers whose experts are the student's own."""


def model(arch, seed, config=CONFIG):
    torch.manual_seed(seed)
    transformer = Transformer(arch, config)
    with torch.no_grad():
        for weight in transformer.parameters():  # norms and biases too differ from model to model
            weight.add_(torch.randn(weight.shape))
    return transformer


def is_fresh(name):
    return ".experts." in name and name.startswith(FRESH)


def test_exactly_what_is_no_expert_is_copied_and_the_rest_is_untouched():
    teacher, student, before = model(TEACHER, 0), model(STUDENT, 1), model(STUDENT, 1).state_dict()
    places = {name: weight.data_ptr() for name, weight in student.named_parameters()}
    taught = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    copied = inherit_non_experts(student, teacher)
    assert copied == [name for name in before if not is_fresh(name)]
    for name, weight in student.state_dict().items():
        assert torch.equal(weight, (before if is_fresh(name) else taught)[name]), name
        assert is_fresh(name) or not torch.equal(weight, before[name]), name
        assert student.get_parameter(name).data_ptr() == places[name]  # and shared with nobody
        assert is_fresh(name) or weight.data_ptr() != teacher.get_parameter(name).data_ptr()
    assert all(torch.equal(weight, taught[name]) for name, weight in teacher.state_dict().items())


def test_a_student_of_its_teachers_sizes_that_is_dense_becomes_its_teacher():
    dense = architecture(16, [encoder_layer(32)], 12, [decoder_layer(24)])
    teacher, student = model(dense, 0), model(dense, 1)
    assert inherit_non_experts(student, teacher) == list(teacher.state_dict())
    assert all(torch.equal(weight, student.state_dict()[name]) for name, weight in teacher.state_dict().items())


@pytest.mark.parametrize(
    ("student", "problem"),
    [
        (replace(STUDENT, encoder=replace(STUDENT.encoder, dim=8)), r"encoder\.dim 8, the teacher 16"),
        (
            replace(STUDENT, encoder=replace(STUDENT.encoder, layers=STUDENT.encoder.layers[:2])),
            r"encoder\.layers 2, the teacher 3",
        ),
        (
            architecture(16, list(STUDENT.encoder.layers), 12, [decoder_layer(8), decoder_layer(8, cross_heads=2)]),
            r"decoder layer 1: cross_heads 2, the teacher 4",
        ),
        (
            architecture(
                16, [encoder_layer(8), *[encoder_layer(8, qkv_dim=8)] * 2], 12, list(STUDENT.decoder.layers)
            ),
            r"encoder layer 1: qkv_dim 8, the teacher 16",
        ),
    ],
)
def test_the_first_size_that_differs_is_named_with_both_and_nothing_is_changed(student, problem):
    small, before = model(student, 1), model(student, 1).state_dict()
    with pytest.raises(SpaceError, match=f"distill.initial=teacher: the student has {problem}.*Fix these sizes"):
        inherit_non_experts(small, model(TEACHER, 0))
    assert all(torch.equal(weight, before[name]) for name, weight in small.state_dict().items())


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (TransformerConfig(vocab_size=23), "a vocabulary of 23, the teacher 19"),
        (TransformerConfig(vocab_size=19, pre_norm=False), "model.pre_norm False, the teacher True"),
    ],
)
def test_another_vocabulary_or_place_of_the_norms_is_named(config, problem):
    with pytest.raises(TrainingError, match=problem):
        inherit_non_experts(model(STUDENT, 1, config), model(TEACHER, 0))
