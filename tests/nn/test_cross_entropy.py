import pytest
import torch
import torch.nn.functional as F

from automoe.decoding import PAD
from automoe.nn import smoothed_cross_entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradient_are_those_of_torch(smoothing):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 11, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(2, 11, (3, 5), generator=generator)
    target[1, 3:] = PAD
    loss, nll = smoothed_cross_entropy(logits, target, smoothing)
    flat = logits.reshape(-1, 11)
    options = {"ignore_index": PAD, "reduction": "sum"}
    expected = F.cross_entropy(flat, target.reshape(-1), label_smoothing=smoothing, **options)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(nll, F.cross_entropy(flat, target.reshape(-1), **options).detach())
    gradient = torch.autograd.grad(3 * loss, logits)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(3 * expected, logits)[0])


def test_bfloat16_logits_are_scored_in_float32():
    logits = torch.randn(2, 4, 9).bfloat16().requires_grad_()
    target = torch.randint(2, 9, (2, 4))
    loss, _ = smoothed_cross_entropy(logits, target, 0.1)
    assert loss.dtype == torch.float32
    loss.backward()
    assert logits.grad.dtype == torch.bfloat16
