"""Grouped matrix products say what the sorted dispatch says, and a layer takes them only where they pay."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.nn import Expert, TransformerConfig, dispatch_sorted, experts, route
from automoe.nn.experts import ExpertLayer
from automoe.nn.grouped import dispatch_grouped, groupable

pytestmark = pytest.mark.skipif(not hasattr(torch.nn.functional, "grouped_mm"), reason="PyTorch has no grouped_mm")
DIM, WIDTH = 8, 16


def drawn(tokens, num_experts, seed=0, *, device="cpu", dtype=torch.float32):
    """Token states, router weights and experts, as leaves."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return (torch.randn(*shape, generator=generator) / shape[-1] ** 0.5).to(device, dtype).requires_grad_()

    layer = [Expert(normal(WIDTH, DIM), normal(WIDTH), normal(DIM, WIDTH), normal(DIM)) for _ in range(num_experts)]
    x_TD = torch.randn(tokens, DIM, generator=generator).to(device, dtype).requires_grad_()
    return x_TD, normal(num_experts, DIM), layer


def both_with_gradients(x_TD, weight_ED, layer, top_k, room):
    """Outputs and gradients of each dispatch; the gradient of an expert that no token reached is zeros."""
    leaves = [x_TD, weight_ED, *(weight for expert in layer for weight in expert)]
    for dispatch in (dispatch_grouped, dispatch_sorted):
        y_TD = dispatch(x_TD, route(x_TD, weight_ED, top_k)._replace(room=room), layer)
        loss = (y_TD.float() * torch.linspace(-1, 1, y_TD.numel(), device=y_TD.device).view_as(y_TD)).sum()
        yield y_TD, *torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 6), st.data())
def test_grouped_products_equal_the_sorted_dispatch_with_gradients(tokens, num_experts, data):
    top_k = data.draw(st.integers(1, num_experts))
    room = data.draw(st.none() | st.integers(1, tokens))
    leaves = drawn(tokens, num_experts, data.draw(st.integers(0, 100)))
    for ours, theirs in zip(*both_with_gradients(*leaves, top_k, room), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_processor_never_groups():
    assert not groupable(torch.zeros(4, DIM, dtype=torch.bfloat16), [WIDTH] * 3, torch.bfloat16)


@pytest.mark.parametrize("top_k", [1, 2])
def test_a_layer_says_the_same_by_either_dispatch_of_slices_of_its_experts(top_k, monkeypatch):
    torch.manual_seed(0)
    layer = ExpertLayer(dim=DIM, widths=[WIDTH] * 4, config=TransformerConfig(vocab_size=5, capacity_factor=0.8))
    x_TD = torch.randn(20, DIM - 4)

    def answer():
        y_TD, routing = layer(x_TD, widths=[WIDTH - 4] * 3, top_k=top_k, slots=[3, 0, 2])
        assert routing.dropped() > 0
        return y_TD

    by_loop = answer()
    monkeypatch.setattr(experts, "groupable", lambda *_: True)
    torch.testing.assert_close(answer(), by_loop, atol=1e-6, rtol=0)


def test_only_training_groups(monkeypatch):
    layer = ExpertLayer(dim=DIM, widths=[WIDTH] * 3, config=TransformerConfig(vocab_size=5))
    taken = []
    monkeypatch.setattr(experts, "groupable", lambda *_: True)
    monkeypatch.setattr(experts, "dispatch_grouped", lambda *given: taken.append(given) or dispatch_sorted(*given))
    for mode, count in ((False, 0), (True, 1)):
        layer.train(mode)(torch.randn(4, DIM), widths=[WIDTH] * 3, top_k=1, slots=[0, 1, 2])
        assert len(taken) == count


class TokensOnAGpu:
    """What `groupable` looks at."""

    is_cuda, dtype, device = True, torch.bfloat16, "cuda"

    def __init__(self, count):
        self.shape = (count, DIM)

    def __len__(self):
        return self.shape[0]


def test_equal_widths_are_grouped_where_torch_has_one_kernel_for_them(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    assert groupable(TokensOnAGpu(4), [WIDTH] * 3, torch.bfloat16)
    assert not groupable(TokensOnAGpu(0), [WIDTH] * 3, torch.bfloat16)
    assert not groupable(TokensOnAGpu(4), [WIDTH, WIDTH, 8], torch.bfloat16)
    assert not groupable(TokensOnAGpu(4), [WIDTH] * 3, torch.float32)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    assert not groupable(TokensOnAGpu(4), [WIDTH] * 3, torch.bfloat16)


def test_a_torch_without_grouped_products_never_groups(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.delattr(torch.nn.functional, "grouped_mm")
    assert not groupable(TokensOnAGpu(4), [WIDTH] * 3, torch.bfloat16)


@pytest.mark.gpu
@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("room", [None, 20])
def test_grouped_products_on_a_gpu_equal_the_sorted_dispatch_with_gradients(top_k, room):
    leaves = drawn(200, 6, device="cuda", dtype=torch.bfloat16)
    assert groupable(leaves[0], [WIDTH] * 6, torch.bfloat16) == (torch.cuda.get_device_capability()[0] in (9, 10))
    for ours, theirs in zip(*both_with_gradients(*leaves, top_k, room), strict=True):
        torch.testing.assert_close(ours.float(), theirs.float(), atol=0.05, rtol=0.05)


@pytest.mark.gpu
def test_a_layer_on_a_gpu_groups_equal_widths_without_waiting_and_sorts_unequal_ones(monkeypatch):
    taken = []
    for name in ("dispatch_grouped", "dispatch_sorted"):
        whole = getattr(experts, name)
        monkeypatch.setattr(experts, name, lambda *given, n=name, f=whole: taken.append(n) or f(*given))
    x_TD = torch.randn(64, DIM, device="cuda", dtype=torch.bfloat16)
    equal, unequal = (
        ExpertLayer(dim=DIM, widths=widths, config=TransformerConfig(vocab_size=5)).to("cuda", torch.bfloat16)
        for widths in ([WIDTH] * 3, [WIDTH, WIDTH, 8])
    )
    equal(x_TD, widths=[WIDTH] * 3, top_k=1, slots=[0, 1, 2])
    torch.cuda.set_sync_debug_mode("error")
    try:
        equal(x_TD, widths=[WIDTH] * 3, top_k=1, slots=[0, 1, 2])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    unequal(x_TD, widths=[WIDTH, WIDTH, 8], top_k=1, slots=[0, 1, 2])
    expected = "dispatch_grouped" if torch.cuda.get_device_capability()[0] in (9, 10) else "dispatch_sorted"
    assert taken == [expected, expected, "dispatch_sorted"]
