import pytest
import torch

from automoe.decoding import PAD
from automoe.nn import distilled_cross_entropy, smoothed_cross_entropy, soft_targets, word_distillation

WORDS = 11
SETTINGS = [(share, smoothing, temperature) for share in (0.0, 0.3, 1.0) for smoothing in (0.0, 0.1)
            for temperature in (1.0, 2.5)]  # fmt: skip


@pytest.fixture
def batch():
    """Scores of a student and of a teacher, and a reference with paddings."""
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(3, 5, WORDS, generator=generator, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 5, WORDS, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(2, WORDS, (3, 5), generator=generator)
    target[1, 3:] = PAD
    return student, teacher, target


def composed_distillation(student, teacher, target, temperature):
    """Hinton et al. 2015, from its parts."""
    per_word = (teacher / temperature).softmax(-1).detach() * (student / temperature).log_softmax(-1)
    return -(temperature**2) * (per_word.sum(-1) * (target != PAD)).sum()


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_distillation_and_its_gradient_are_those_of_the_composition(batch, temperature):
    student, teacher, target = batch
    loss, expected = (f(student, teacher, target, temperature) for f in (word_distillation, composed_distillation))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(3 * loss, student)[0], torch.autograd.grad(3 * expected, student)[0]
    )


@pytest.mark.parametrize(("share", "smoothing", "temperature"), SETTINGS)
def test_fused_loss_is_the_weighted_sum_of_both(batch, share, smoothing, temperature):
    student, teacher, target = batch
    fused = distilled_cross_entropy(
        student,
        soft_targets(teacher, temperature),
        target,
        smoothing=smoothing,
        share=share,
        temperature=temperature,
    )
    smoothed, nll = smoothed_cross_entropy(student, target, smoothing)
    distillation = composed_distillation(student, teacher, target, temperature)
    expected = (1 - share) * smoothed + share * distillation
    torch.testing.assert_close(fused.loss, expected)
    torch.testing.assert_close(fused.nll, nll)
    torch.testing.assert_close(fused.distillation, distillation.detach())
    assert not fused.nll.requires_grad
    assert not fused.distillation.requires_grad
    torch.testing.assert_close(
        torch.autograd.grad(3 * fused.loss, student)[0], torch.autograd.grad(3 * expected, student)[0]
    )


@pytest.mark.parametrize(("share", "smoothing", "temperature"), SETTINGS)
def test_gradient_is_that_of_finite_differences(batch, share, smoothing, temperature):
    student, teacher, target = batch
    soft = soft_targets(teacher, temperature)
    settings = {"smoothing": smoothing, "share": share, "temperature": temperature}
    assert torch.autograd.gradcheck(lambda x: distilled_cross_entropy(x, soft, target, **settings).loss, (student,))


def test_the_teacher_gets_no_gradient(batch):
    student, teacher, target = batch
    word_distillation(student, teacher, target).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_who_teaches_himself_has_nothing_to_learn(batch, temperature):
    student, _, target = batch
    word_distillation(student, student, target, temperature).backward()
    torch.testing.assert_close(student.grad, torch.zeros_like(student), atol=1e-15, rtol=0)


def test_paddings_count_nothing(batch):
    student, teacher, target = batch
    changed = torch.where((target == PAD)[..., None], torch.full_like(teacher, 5.0), teacher)
    torch.testing.assert_close(
        word_distillation(student, changed, target), word_distillation(student, teacher, target)
    )


def test_bfloat16_scores_are_compared_in_float32():
    student, teacher = (torch.randn(2, 4, 9).bfloat16().requires_grad_() for _ in range(2))
    loss = word_distillation(student, teacher, torch.randint(2, 9, (2, 4)))
    assert loss.dtype == torch.float32
    loss.backward()
    assert student.grad.dtype == torch.bfloat16
