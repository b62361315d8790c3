"""Routers of models in half precision: in float32, or on request as the model."""

from typing import get_args

import pytest
import torch

from automoe.errors import ConfigError
from automoe.nn import Transformer, TransformerConfig, balance_loss, route, router_z_loss
from automoe.nn.experts import ExpertLayer
from automoe.nn.router import RouterPrecision
from automoe.pipeline.config import ModelConfig
from tests.architectures import MAXIMUM

HALVES = [torch.bfloat16, torch.float16]
halves = pytest.mark.parametrize("dtype", HALVES, ids=str)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer_of(dtype=torch.float32, **config):
    torch.manual_seed(0)
    layer = ExpertLayer(dim=16, widths=[12, 8, 8], config=TransformerConfig(vocab_size=5, **config))
    with torch.no_grad():
        layer.router_weight.mul_(30)  # so that choices are clear
    return layer.to(dtype)


def answer(layer, x_TD, top_k=1):
    return layer(x_TD, widths=[12, 8, 8], top_k=top_k, slots=[0, 1, 2])


@halves
@pytest.mark.parametrize("top_k", [1, 2])
def test_a_router_of_a_half_model_scores_its_states_in_float32(dtype, top_k):
    x_TD, layer = normal(40, 16).to(dtype), layer_of(dtype)
    y_TD, routing = answer(layer, x_TD, top_k)
    exact = route(x_TD.float(), layer.router_weight.float(), top_k)
    assert y_TD.dtype == dtype
    for found, expected in zip(routing[:4], exact[:4], strict=True):
        assert found.dtype == expected.dtype and torch.equal(found, expected)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_router_scores_in_float32_under_autocast(dtype):
    x_TD, layer = normal(40, 16), layer_of()
    with torch.autocast("cpu", dtype=dtype):
        y_TD, routing = answer(layer, x_TD)
    assert y_TD.dtype == dtype
    assert torch.equal(routing.logits_TE, route(x_TD, layer.router_weight).logits_TE)


@halves
@pytest.mark.parametrize("precision", ["float32", "model"])
def test_a_router_learns_from_the_one_expert_that_it_chose(dtype, precision):
    layer = layer_of(dtype, router_precision=precision)
    y_TD, _ = answer(layer, normal(40, 16).to(dtype))
    y_TD.float().square().sum().backward()
    gradient = layer.router_weight.grad
    assert gradient.dtype == dtype and bool(gradient.isfinite().all())
    assert bool((gradient.abs().sum(dim=1) > 0).all())


@halves
def test_a_router_as_the_model_scores_in_half_precision(dtype):
    x_TD, layer = normal(40, 16).to(dtype), layer_of(dtype, router_precision="model")
    for training in (True, False):
        _, routing = answer(layer.train(training), x_TD)
        assert routing.logits_TE.dtype == routing.probs_TE.dtype == routing.gate_TK.dtype == dtype
    exact = route(x_TD, layer.router_weight)
    assert not torch.equal(routing.probs_TE.float(), exact.probs_TE)
    torch.testing.assert_close(routing.probs_TE.float(), exact.probs_TE, atol=0.05, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_both_precisions_are_the_same_in_float32_and_above(dtype):
    x_TD = normal(40, 16).to(dtype)
    whole, model = (answer(layer_of(dtype, router_precision=name), x_TD) for name in ("float32", "model"))
    assert torch.equal(whole[0], model[0]) and torch.equal(whole[1].probs_TE, model[1].probs_TE)


@halves
def test_router_losses_are_sums_in_float32_whatever_the_router_computed_in(dtype):
    routing = route(normal(4096, 16).to(dtype), normal(6, 16, seed=1).to(dtype), precision="model")
    exact = routing._replace(probs_TE=routing.probs_TE.double(), logits_TE=routing.logits_TE.double())
    for loss in (balance_loss, router_z_loss):
        assert loss(routing).dtype == torch.float32
        assert float(loss(routing)) == pytest.approx(float(loss(exact)), rel=1e-5)


@halves
def test_a_half_model_scores_nearly_as_in_float32_and_routes_in_float32(dtype):
    torch.manual_seed(0)
    model = Transformer(MAXIMUM, TransformerConfig(vocab_size=40)).eval()
    source, target = torch.randint(4, 40, (3, 9)), torch.randint(4, 40, (3, 7))
    exact = model(source, target)
    half = model.to(dtype)(source, target)
    assert half.logits_NLV.dtype == dtype
    torch.testing.assert_close(half.logits_NLV.float(), exact.logits_NLV, atol=0.1, rtol=0)
    assert all(routing.probs_TE.dtype == torch.float32 for routing in half.routings.values())


def test_another_precision_of_routers_is_refused():
    with pytest.raises(ConfigError, match=r"model.router_precision=half.*allowed: float32, model"):
        TransformerConfig(vocab_size=5, router_precision="half")


def test_a_run_takes_the_precisions_that_routers_know():
    """Its configuration is read without PyTorch, and so cannot ask them."""
    known = get_args(RouterPrecision)
    for precision in known:
        assert ModelConfig(router_precision=precision).router_precision == precision
    with pytest.raises(ConfigError) as caught:
        ModelConfig(router_precision="half")
    assert caught.value.allowed == ", ".join(known)
