"""A model with fewer experts is the model that never chooses the others; extraction takes and changes nothing."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch

from automoe.decoding import EOS, PAD, SearchConfig, search
from automoe.nn import TorchStepper, Transformer, TransformerConfig, experts, route
from automoe.space import Placement
from tests.architectures import architecture, decoder_layer, encoder_layer, random_slice
from tests.nn.test_transformer import SOURCE, TARGET, VOCAB, transformer

SOURCES = [np.array([5, 6, 7, EOS]), np.array([8, EOS]), np.array([9, 10, 11, 12, 13, EOS])]
KEPT = {"encoder": ((0, 2), (1, 3, 4)), "decoder": ((2,), (0, 1, 3))}
"""Of five experts a layer; where one is left, the layer becomes dense."""


def full_model(top_k, pre_norm):
    widths = (48, 40, 32, 32, 16)
    arch = architecture(
        32,
        [encoder_layer(*widths, top_k=top_k) for _ in range(2)],
        32,
        [decoder_layer(*widths, top_k=top_k, cross_layers=2) for _ in range(2)],
    )
    torch.manual_seed(0)
    model = Transformer(arch, TransformerConfig(vocab_size=VOCAB, pre_norm=pre_norm)).double().eval()
    with torch.no_grad():  # scores that lie apart, and routers that prefer some experts
        for name, weight in model.named_parameters():
            weight.normal_(1.0 if "norm.weight" in name else 0.0, std=1.0 if "router" in name else 0.2)
    return model


def pruned(model, sides):
    """The model without the experts that `KEPT` does not name, on these sides."""
    arch, placement = model.maximum, Placement.first(model.maximum)
    for side in sides:
        layers = tuple(
            replace(
                layer, expert_widths=tuple(layer.expert_widths[i] for i in kept), top_k=min(layer.top_k, len(kept))
            )
            for layer, kept in zip(getattr(arch, side).layers, KEPT[side], strict=True)
        )
        arch = replace(arch, **{side: replace(getattr(arch, side), layers=tuple(layers))})
        placement = replace(placement, **{side: KEPT[side]})
    return model.extract(arch, placement)


def masked(model, sides):
    """A context in which the routers of the full model score the other experts as minus infinity."""
    kept_by_router = {
        layer.experts.router_weight.data_ptr(): kept
        for side in sides
        for layer, kept in zip(getattr(model, f"{side}_layers"), KEPT[side], strict=True)
    }

    def masked_route(x_TD, weight_ED, top_k, **options):
        routing = route(x_TD, weight_ED, top_k, **options)
        kept = kept_by_router.get(weight_ED.data_ptr())
        if kept is None:
            return routing
        logits_TE = torch.full_like(routing.logits_TE, -torch.inf)
        logits_TE[:, kept] = routing.logits_TE[:, kept]
        probs_TE = logits_TE.softmax(dim=1)
        gate_TK, expert_TK = probs_TE.topk(min(top_k, len(kept)), dim=1)
        gate_TK = gate_TK / gate_TK.sum(dim=1, keepdim=True) if top_k > 1 else gate_TK
        return routing._replace(expert_TK=expert_TK, gate_TK=gate_TK, logits_TE=logits_TE, probs_TE=probs_TE)

    return patch.object(experts, "route", masked_route)


def tokens(found):
    return [[list(hypothesis.tokens) for hypothesis in one] for one in found]


@pytest.mark.parametrize("sides", [("encoder",), ("decoder",), ("encoder", "decoder")], ids="+".join)
@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("pre_norm", [True, False])
def test_dropped_experts_are_router_scores_of_minus_infinity(sides, top_k, pre_norm):
    full = full_model(top_k, pre_norm)
    real = TARGET != PAD  # a dense layer computes paddings, which one with experts leaves out
    small, whole = (model(SOURCE, TARGET).logits_NLV[real] for model in (pruned(full, sides), full))
    with masked(full, sides):
        torch.testing.assert_close(small, full(SOURCE, TARGET).logits_NLV[real], atol=1e-10, rtol=0)
    assert (small - whole).abs().max() > 1e-3  # else the law would say nothing


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("top_k", [1, 2])
def test_search_without_dropped_experts_is_search_with_masked_scores(beam, top_k):
    full, config = full_model(top_k, pre_norm=True), SearchConfig(beam=beam, max_ratio=0, max_extra=10)
    sides = ("encoder", "decoder")
    small = search(TorchStepper(pruned(full, sides)), SOURCES, config)
    whole = search(TorchStepper(full), SOURCES, config)
    with masked(full, sides):
        expected = search(TorchStepper(full), SOURCES, config)
    assert tokens(small) == tokens(expected)
    assert tokens(small) != tokens(whole)  # else the law would say nothing
    for ours, theirs in zip(small, expected, strict=True):
        assert [one.score for one in ours] == pytest.approx([one.score for one in theirs], abs=1e-5)


@pytest.mark.parametrize("pre_norm", [True, False])
def test_extraction_of_everything_is_the_model_bit_for_bit(pre_norm):
    full = full_model(1, pre_norm)
    same = full.extract(full.maximum, Placement.first(full.maximum))
    assert torch.equal(same(SOURCE, TARGET).logits_NLV, full(SOURCE, TARGET).logits_NLV)
    weights = full.state_dict()
    assert list(weights) == list(same.state_dict())
    assert all(torch.equal(weight, weights[name]) for name, weight in same.state_dict().items())


def test_extraction_remembers_nothing_and_leaves_the_supernet_as_it_was():
    supernet = transformer(full_model(1, True).maximum)
    before = {name: weight.clone() for name, weight in supernet.state_dict().items()}
    rng = np.random.default_rng(0)
    a, b = (random_slice(supernet.maximum, rng) for _ in range(2))
    first, _, again = supernet.extract(*a), supernet.extract(*b), supernet.extract(*a)
    assert torch.equal(first(SOURCE, TARGET).logits_NLV, again(SOURCE, TARGET).logits_NLV)
    assert all(torch.equal(weight, before[name]) for name, weight in supernet.state_dict().items())
