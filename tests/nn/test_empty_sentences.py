"""A row without words, or without anything at all: finite, and no concern of the other rows."""

import pytest
import torch

from automoe.decoding import EOS, PAD
from automoe.nn import Transformer, TransformerConfig, mean_router_losses, smoothed_cross_entropy
from tests.architectures import DENSE, MAXIMUM

WORDS = [[5, 7, 9, EOS], [11, 6, EOS], [8, EOS]]
EMPTY = {"only the end": [EOS], "nothing": []}


def padded(rows, first=()):
    rows = [[*first, *row][: None if not first else -1] if row else [] for row in rows]
    width = max(len(row) for row in rows)
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


def outcome(model, sources, targets):
    """Logits, loss and gradients of a batch."""
    model.zero_grad()
    target_BL = padded(targets)
    decoded = model(padded(sources), padded(targets, first=(EOS,)))
    loss, _ = smoothed_cross_entropy(decoded.logits_NLV, target_BL, 0.1)
    balance, z = mean_router_losses(list(decoded.routings.values()), loss)
    (loss + balance + z).backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return decoded.logits_NLV, loss + balance + z, gradients


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("maximum", [MAXIMUM, DENSE], ids=["experts", "dense"])
@pytest.mark.parametrize("source", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("target", EMPTY.values(), ids=EMPTY)
def test_an_empty_row_has_finite_losses_and_gradients(maximum, source, target, dtype):
    torch.manual_seed(0)
    model = Transformer(maximum, TransformerConfig(vocab_size=40, dropout=0.0)).to(dtype).train()
    for place in (0, 3):
        sources, targets = ([*WORDS[:place], row, *WORDS[place:]] for row in (source, target))
        logits, loss, gradients = outcome(model, sources, targets)
        assert bool(loss.isfinite()) and bool(logits.isfinite().all())
        for name, gradient in gradients.items():
            assert bool(gradient.isfinite().all()), name


@pytest.mark.parametrize("source", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("target", EMPTY.values(), ids=EMPTY)
def test_an_empty_row_leaves_the_others_alone(source, target):
    torch.manual_seed(0)
    model = Transformer(MAXIMUM, TransformerConfig(vocab_size=40, dropout=0.0)).double().train()
    alone, _, _ = outcome(model, WORDS, WORDS)
    beside, _, _ = outcome(model, [source, *WORDS], [target, *WORDS])
    torch.testing.assert_close(beside[1:], alone, atol=1e-12, rtol=0)


def test_a_row_of_nothing_adds_nothing_to_any_gradient():
    torch.manual_seed(0)
    model = Transformer(MAXIMUM, TransformerConfig(vocab_size=40, dropout=0.0)).double().train()
    _, loss, gradients = outcome(model, WORDS, WORDS)
    _, loss_beside, beside = outcome(model, [*WORDS, []], [*WORDS, []])
    torch.testing.assert_close(loss_beside, loss, atol=1e-12, rtol=0)
    for name, gradient in gradients.items():
        torch.testing.assert_close(beside[name], gradient, atol=1e-11, rtol=0, msg=name)
