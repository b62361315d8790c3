"""The routers' losses: what they see, what they ignore, and where their gradient goes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.decoding import PAD
from automoe.nn import Transformer, TransformerConfig, balance_loss, mean_router_losses, route, router_z_loss
from tests.architectures import MAXIMUM

DIM = 6


def routing_of(tokens=40, experts=4, top_k=1, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    x_TD = torch.randn(tokens, DIM, generator=generator, dtype=torch.float64)
    weight_ED = torch.randn(experts, DIM, generator=generator, dtype=torch.float64).requires_grad_()
    return route(x_TD, weight_ED, top_k, **options), weight_ED


def test_the_balance_loss_counts_what_was_chosen_whether_it_found_room_or_not():
    full, _ = routing_of(capacity_factor=0.25)
    free, _ = routing_of()
    assert full.dropped() > 0
    assert torch.equal(balance_loss(full), balance_loss(free))


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.data())
def test_the_balance_loss_has_no_gradient_through_the_counts(seed, experts, data):
    top_k = data.draw(st.integers(1, experts))
    routing, _ = routing_of(17, experts, top_k, seed)
    share_E = routing.loads_E().double() / (17 * top_k)
    gradient = torch.autograd.grad(balance_loss(routing), routing.probs_TE)[0]
    torch.testing.assert_close(gradient, (experts * share_E / 17).expand(17, experts))


@pytest.mark.parametrize("experts", [1, 2, 6, 128])
def test_even_experts_cost_the_same_however_many_there_are(experts):
    x_TD = torch.eye(experts, dtype=torch.float64)
    near_even = route(x_TD, 1e-6 * torch.eye(experts, dtype=torch.float64))  # each expert is one token's, barely
    assert balance_loss(near_even).item() == pytest.approx(1.0, abs=1e-5)


def test_a_model_has_the_mean_over_its_layers_so_that_no_layer_hides_another():
    even, _ = routing_of(experts=2)
    collapsed, _ = routing_of(experts=6, seed=1)
    even, collapsed = (
        one._replace(probs_TE=one.probs_TE.detach(), logits_TE=one.logits_TE.detach()) for one in (even, collapsed)
    )
    balance, z = mean_router_losses([even, collapsed], even.probs_TE)
    assert balance.item() == pytest.approx((balance_loss(even).item() + balance_loss(collapsed).item()) / 2)
    assert z.item() == pytest.approx((router_z_loss(even).item() + router_z_loss(collapsed).item()) / 2)
    assert [part.item() for part in mean_router_losses([], even.probs_TE)] == [0, 0]


def test_paddings_change_no_loss_of_any_router():
    torch.manual_seed(0)
    model = Transformer(MAXIMUM, TransformerConfig(vocab_size=40)).double().eval()
    source, target = torch.randint(4, 40, (3, 7)), torch.randint(4, 40, (3, 5))
    padded = [torch.cat([tokens, torch.full((3, 4), PAD)], dim=1) for tokens in (source, target)]
    plain, other = model(source, target).routings, model(*padded).routings
    assert len(plain) == 4
    for layer in plain:
        for loss in (balance_loss, router_z_loss):
            torch.testing.assert_close(loss(plain[layer]), loss(other[layer]), atol=1e-12, rtol=0)


def test_a_top_1_router_learns_from_the_experts_outputs():
    routing, weight_ED = routing_of()
    gradient = torch.autograd.grad(routing.gate_TK.sum(), weight_ED)[0]
    assert (gradient.abs().max(dim=1).values > 1e-3).all()


def test_a_step_against_the_balance_loss_evens_the_load_and_one_against_the_z_loss_shrinks_the_scores():
    _, weight_ED = routing_of(400)
    x_TD = torch.randn(400, DIM, generator=torch.Generator().manual_seed(5), dtype=torch.float64) + 0.7
    for loss, measure in (
        (balance_loss, lambda r: r.loads_E().double().std()),
        (router_z_loss, lambda r: r.logits_TE.square().mean()),
    ):
        before = route(x_TD, weight_ED)
        gradient = torch.autograd.grad(loss(before), weight_ED)[0]
        after = route(x_TD, weight_ED - 0.1 * gradient)
        assert measure(after) < measure(before)
