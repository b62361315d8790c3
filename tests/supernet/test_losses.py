"""The loss of a sandwich against its composition from the parts that torch has."""

import pytest
import torch
import torch.nn.functional as F

from automoe.decoding import PAD
from automoe.nn import Transformer, TransformerConfig, balance_loss, router_z_loss, smoothed_cross_entropy
from automoe.supernet import SupernetConfig, visits
from automoe.supernet.losses import supernet_loss
from tests.spaces import one_point_space, small_space

VOCAB, SMOOTHING = 23, 0.1


def batch():
    generator = torch.Generator().manual_seed(3)
    source = torch.randint(4, VOCAB, (4, 6), generator=generator)
    target = torch.randint(4, VOCAB, (4, 5), generator=generator)
    source[0, 4:], target[1, 3:] = PAD, PAD
    return source, target


def supernet(space):
    torch.manual_seed(1)
    return Transformer(space.largest(), TransformerConfig(vocab_size=VOCAB, dropout=0.0)).double()


def outputs_of(model, space, config, update=2):
    source, target = batch()
    return [model(source, target, visit.arch, visit.placement) for visit in visits(space, config, 7, update)]


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else torch.zeros((), dtype=torch.float64)


def naive_loss(outputs, target, config):
    options = {"ignore_index": PAD, "reduction": "sum"}
    kept = (target != PAD)[..., None]
    teacher = (outputs[0].logits_NLV.detach() / config.temperature).softmax(-1)
    losses, distillations = [], []
    for output in outputs:
        logits = output.logits_NLV
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), label_smoothing=SMOOTHING, **options)
        if output is not outputs[0]:
            student = (logits / config.temperature).log_softmax(-1)
            distillations.append(-(config.temperature**2) * (teacher * student * kept).sum())
            loss = (1 - config.distillation) * loss + config.distillation * distillations[-1]
        losses.append(loss)
    routers = [
        mean(mean(part(routing) for routing in output.routings.values()) for output in outputs)
        for part in (balance_loss, router_z_loss)
    ]
    return mean(losses), mean(distillations), *routers


@pytest.mark.parametrize("config", [
    SupernetConfig(),
    SupernetConfig(random=3, distillation=0.2, temperature=3.0),
    SupernetConfig(random=0, distillation=1.0),
    SupernetConfig(distillation=0.0),
])  # fmt: skip
def test_loss_and_gradients_are_those_of_the_composition(config):
    space = small_space()
    model, (_, target) = supernet(space), batch()
    outputs = outputs_of(model, space, config)
    found = supernet_loss(outputs, target, config, SMOOTHING)
    expected = naive_loss(outputs, target, config)
    for one, other in zip((found.loss, found.distillation, found.balance, found.z), expected, strict=True):
        torch.testing.assert_close(one, other)
    gradients = [
        torch.autograd.grad(loss, list(model.parameters()), retain_graph=True, allow_unused=True)
        for loss in (found.loss, expected[0])
    ]
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def test_the_largest_learns_nothing_from_teaching():
    space, config = small_space(), SupernetConfig(distillation=1.0)
    outputs = outputs_of(supernet(space), space, config)
    scores = outputs[0].logits_NLV
    gradient = torch.autograd.grad(supernet_loss(outputs, batch()[1], config, SMOOTHING).loss, scores)[0]
    alone = smoothed_cross_entropy(scores, batch()[1], SMOOTHING)[0] / len(outputs)
    torch.testing.assert_close(gradient, torch.autograd.grad(alone, scores)[0])


@pytest.mark.parametrize(("space", "config"), [
    (one_point_space(), SupernetConfig()),
    (small_space(), SupernetConfig(rule="single_path", distillation=0.0)),
], ids=["one point", "single path"])  # fmt: skip
def test_one_architecture_has_the_plain_loss_bit_for_bit(space, config):
    outputs = outputs_of(supernet(space), space, config)
    found = supernet_loss(outputs, batch()[1], config, SMOOTHING)
    loss, nll = smoothed_cross_entropy(outputs[0].logits_NLV, batch()[1], SMOOTHING)
    assert torch.equal(found.loss, loss)
    assert torch.equal(found.nll, nll)
    assert found.distillation == 0
