"""What a student learns from a model on disk."""

import pytest
import torch
import torch.nn.functional as F

from automoe.decoding import PAD
from automoe.distill import DistillConfig
from automoe.distill.losses import distillation_loss
from automoe.distill.teacher import ModelTeacher
from automoe.nn import Transformer, TransformerConfig, smoothed_cross_entropy
from automoe.nn.model_folder import write_model
from tests.architectures import DENSE, MAXIMUM

VOCAB = 19


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    write_model(Transformer(MAXIMUM, TransformerConfig(vocab_size=VOCAB, dropout=0.5)), tmp_path)
    return tmp_path


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(4, VOCAB, (3, 5), generator=generator), torch.randint(4, VOCAB, (3, 4), generator=generator)


def test_teacher_says_what_the_largest_of_the_folder_says_without_dropout_or_gradient(folder):
    source, previous = batch()
    teacher = ModelTeacher.read(folder)
    scores = teacher.logits(source, previous)
    assert torch.equal(scores, teacher.logits(source, previous))
    assert not scores.requires_grad
    assert teacher.vocab_size == VOCAB


def test_a_student_that_is_its_teacher_has_no_gradient_at_full_share(folder):
    source, target = batch()
    teacher = ModelTeacher.read(folder)
    scores = teacher.logits(source, target).double().requires_grad_()
    losses = distillation_loss(scores, scores, target, DistillConfig(share=1.0), smoothing=0.0)
    torch.testing.assert_close(
        torch.autograd.grad(losses.loss, scores)[0], torch.zeros_like(scores), atol=1e-15, rtol=0
    )


def test_without_a_share_the_teacher_says_nothing(folder):
    source, target = batch()
    torch.manual_seed(2)
    student = Transformer(DENSE, TransformerConfig(vocab_size=VOCAB))
    scores = student(source, target).logits_NLV
    teacher = ModelTeacher.read(folder).logits(source, target)
    losses = distillation_loss(scores, teacher, target, DistillConfig(share=0.0), smoothing=0.1)
    smoothed, nll = smoothed_cross_entropy(scores, target, 0.1)
    torch.testing.assert_close(losses.loss, smoothed)
    torch.testing.assert_close(losses.nll, nll)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_share_of_nothing_is_plain_cross_entropy_with_the_same_gradients_to_the_bit(smoothing):
    scores = torch.randn(3, 4, VOCAB, generator=torch.Generator().manual_seed(3), requires_grad=True)
    _, target = batch()
    target[1, 2:] = PAD
    losses = distillation_loss(scores, None, target, DistillConfig(share=0.0, temperature=2.0), smoothing)
    plain, nll = smoothed_cross_entropy(scores, target, smoothing)
    assert torch.equal(losses.loss, plain) and torch.equal(losses.nll, nll) and losses.distillation == 0
    assert torch.equal(*(torch.autograd.grad(loss, scores)[0] for loss in (losses.loss, plain)))


def test_at_temperature_1_the_teacher_is_learnt_as_soft_labels():
    scores, teacher = (torch.randn(3, 4, VOCAB, generator=torch.Generator().manual_seed(s)) for s in (3, 4))
    _, target = batch()
    losses = distillation_loss(scores, teacher, target, DistillConfig(share=0.25), smoothing=0.0)
    soft = F.cross_entropy(scores.flatten(0, 1), teacher.flatten(0, 1).softmax(dim=1), reduction="sum")
    hard = F.cross_entropy(scores.flatten(0, 1), target.flatten(), reduction="sum")
    torch.testing.assert_close(losses.loss, 0.25 * soft + 0.75 * hard)  # Fedus et al. 2022: a quarter of the teacher
