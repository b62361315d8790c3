import pytest
import torch

from automoe.nn import (
    Expert,
    TransformerConfig,
    balance_loss,
    dispatch_naive,
    dispatch_sorted,
    feed_forward,
    route,
    router_z_loss,
)
from automoe.nn.experts import ExpertLayer
from automoe.nn.router import Routing, capacity

DIM = 6


def experts(widths, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    return [Expert(normal(w, DIM), normal(w), normal(DIM, w), normal(DIM)) for w in widths]


def tokens(count, dtype=torch.float64, seed=1):
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


def router(num_experts, dtype=torch.float64, seed=2):
    return torch.randn(num_experts, DIM, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


def assert_alike_with_gradients(count, top_k, room):
    """The sorted dispatch and the naive loop, on `count` tokens, where each expert has this room."""
    layer, weight = experts([5, 3, 8, 1]), router(4)
    x_TD = tokens(count)
    parameters = [x_TD, weight, *(w for expert in layer for w in expert)]

    def outcome(dispatch):
        y_TD = dispatch(x_TD, route(x_TD, weight, top_k)._replace(room=room), layer)
        return y_TD, torch.autograd.grad(y_TD.square().sum(), parameters, allow_unused=True)

    (y, grads), (y_naive, grads_naive) = outcome(dispatch_sorted), outcome(dispatch_naive)
    torch.testing.assert_close(y, y_naive, atol=1e-12, rtol=0)
    for grad, naive in zip(grads, grads_naive, strict=True):
        # An expert that no token reached: the loop leaves its gradient out, and so does the sorted path.
        assert (grad is None) == (naive is None)
        if grad is not None:
            torch.testing.assert_close(grad, naive, atol=1e-11, rtol=0)


@pytest.mark.parametrize("top_k", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 17])
def test_sorted_dispatch_equals_naive_loop_with_gradients(count, top_k):
    assert_alike_with_gradients(count, top_k, room=None)


def test_gradients_are_those_of_finite_differences():
    layer, weight = experts([4, 2, 3]), router(3)
    x_TD = tokens(5)

    def output(x_TD, weight, *flat):
        layer = [Expert(*flat[i : i + 4]) for i in range(0, len(flat), 4)]
        return dispatch_sorted(x_TD, route(x_TD, weight), layer)

    assert torch.autograd.gradcheck(output, (x_TD, weight, *(w for expert in layer for w in expert)))


def test_single_expert_is_a_dense_layer():
    layer = ExpertLayer(dim=DIM, widths=[7], config=TransformerConfig(vocab_size=5))
    assert layer.router_weight is None
    dense = torch.nn.Sequential(torch.nn.Linear(DIM, 7), torch.nn.ReLU(), torch.nn.Linear(7, DIM))
    for ours, theirs in zip(layer.parameters(), dense.parameters(), strict=True):
        ours.data.copy_(theirs)
    x_TD = tokens(4, torch.float32)
    y_TD, routing = layer(x_TD, widths=[7], top_k=1, slots=[0])
    assert routing is None
    torch.testing.assert_close(y_TD, dense(x_TD))


def test_a_router_of_one_expert_gives_that_expert_alone():
    [expert], x_TD = experts([7]), tokens(9)
    routing = route(x_TD, router(1))
    assert (routing.gate_TK == 1).all()
    assert torch.equal(dispatch_sorted(x_TD, routing, [expert]), feed_forward(x_TD, expert))


def test_experts_that_get_no_token_are_not_asked_for():
    x_TD, layer = tokens(3), experts([4, 2, 3, 5, 6, 7, 8, 9])
    routing = route(x_TD, router(8))
    reached = {index: layer[index] for index in routing.expert_TK.flatten().tolist()}
    assert torch.equal(dispatch_sorted(x_TD, routing, reached), dispatch_sorted(x_TD, routing, layer))


def test_equal_experts_give_the_gate_times_one_of_them():
    expert, weight = experts([5])[0], router(3)
    x_TD = tokens(9)
    routing = route(x_TD, weight)
    y_TD = dispatch_sorted(x_TD, routing, [expert] * 3)
    torch.testing.assert_close(y_TD, routing.gate_TK * feed_forward(x_TD, expert), atol=1e-12, rtol=0)


def test_order_of_experts_does_not_matter():
    layer, weight = experts([5, 3, 8]), router(3)
    x_TD = tokens(11)
    order = [2, 0, 1]
    y_TD = dispatch_sorted(x_TD, route(x_TD, weight), layer)
    permuted = dispatch_sorted(x_TD, route(x_TD, weight[order]), [layer[e] for e in order])
    torch.testing.assert_close(y_TD, permuted, atol=1e-12, rtol=0)


def test_top_1_gate_is_the_softmax_value_and_top_2_gates_sum_to_one():
    x_TD, weight = tokens(6), router(4)
    one, two = route(x_TD, weight), route(x_TD, weight, 2)
    torch.testing.assert_close(one.gate_TK[:, 0], one.probs_TE.max(dim=1).values)
    torch.testing.assert_close(two.gate_TK.sum(dim=1), torch.ones(6, dtype=torch.float64))


def test_router_is_float32_under_bfloat16():
    x_TD, weight = tokens(6, torch.float32), router(4, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = route(x_TD, weight)
    assert autocast.probs_TE.dtype == torch.float32
    torch.testing.assert_close(autocast.probs_TE, route(x_TD, weight).probs_TE)
    assert route(x_TD.bfloat16(), weight.bfloat16()).probs_TE.dtype == torch.float32


def test_more_choices_than_experts_are_refused():
    with pytest.raises(ValueError, match="exceeds"):
        route(tokens(2), router(3), top_k=4)


def routing_of(probs_TE):
    return Routing(probs_TE.argmax(1, keepdim=True), probs_TE.max(1, keepdim=True).values, probs_TE.log(), probs_TE)


@pytest.mark.parametrize("num_experts", [1, 2, 5])
def test_balance_loss_is_one_when_uniform_and_the_number_of_experts_at_collapse(num_experts):
    one_hot = torch.eye(num_experts, dtype=torch.float64)
    nearly = one_hot * (1 - 1e-9) + 1e-9 / num_experts
    assert balance_loss(routing_of(nearly)).item() == pytest.approx(1.0)  # each expert has one sure token
    collapsed = nearly[:1].repeat(8, 1)
    assert balance_loss(routing_of(collapsed)).item() == pytest.approx(num_experts)


def test_z_loss_is_log_experts_squared_at_zero_logits_and_pulls_logits_to_zero():
    logits_TE = torch.zeros(3, 4, dtype=torch.float64)
    routing = Routing(torch.zeros(3, 1, dtype=torch.int64), torch.ones(3, 1), logits_TE, logits_TE.softmax(1))
    assert router_z_loss(routing).item() == pytest.approx(torch.log(torch.tensor(4.0)).item() ** 2, rel=1e-6)
    large = torch.full((3, 4), 5.0, requires_grad=True)
    router_z_loss(routing._replace(logits_TE=large)).backward()
    assert (large.grad > 0).all()


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("room", [None, 1])
def test_no_tokens_are_no_output(top_k, room):
    x_TD, layer = tokens(0), experts([5, 3, 8])
    routing = route(x_TD, router(3), top_k)._replace(room=room)
    for dispatch in (dispatch_sorted, dispatch_naive):
        assert dispatch(x_TD, routing, layer).shape == (0, DIM)


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("room", [1, 2, 3, 5, 100])
def test_sorted_dispatch_equals_the_naive_loop_where_experts_are_full_with_gradients(room, top_k):
    assert_alike_with_gradients(17, top_k, room)


def test_a_full_expert_drops_exactly_the_later_tokens_and_they_leave_the_layer_as_zero():
    chosen = torch.tensor([0, 1, 0, 0, 2, 0, 1, 0])
    logits_TE = torch.nn.functional.one_hot(chosen, 3).double() * 5
    probs_TE = logits_TE.softmax(1)
    routing = Routing(chosen[:, None], probs_TE.max(1, keepdim=True).values, logits_TE, probs_TE)
    room = capacity(8, 3, 1, 1.0)
    assert room == 3  # 8 / 3, rounded up
    y_TD = dispatch_sorted(tokens(8), routing._replace(room=room), experts([4, 4, 4]))
    assert routing._replace(room=room).dropped() == 2 and routing.dropped() == 0
    assert (y_TD == 0).all(dim=1).tolist() == [False, False, False, False, False, True, False, True]
    kept = dispatch_sorted(tokens(8), routing, experts([4, 4, 4]))
    torch.testing.assert_close(y_TD[[0, 1, 2, 3, 4, 6]], kept[[0, 1, 2, 3, 4, 6]], atol=0, rtol=0)


@pytest.mark.parametrize("num_tokens, num_experts, top_k", [(1, 2, 1), (7, 3, 1), (16, 4, 2), (5, 5, 3)])
def test_a_capacity_factor_of_all_experts_drops_nothing_and_any_leaves_room_for_one(num_tokens, num_experts, top_k):
    assert capacity(num_tokens, num_experts, top_k, num_experts) >= num_tokens
    assert capacity(num_tokens, num_experts, top_k, 1e-9) == 1
    assert capacity(200, 4, 1, 1.1) == 55  # not 56: 50 * 1.1 is a little more than 55 in floating point


def noisy_layer(**settings):
    torch.manual_seed(0)
    config = TransformerConfig(vocab_size=5, **settings)
    layer = ExpertLayer(dim=DIM, widths=[7, 5, 6], config=config)
    return lambda x_TD: layer(x_TD, widths=[7, 5, 6], top_k=1, slots=[0, 1, 2])[0], layer


@pytest.mark.parametrize("settings", [{"expert_dropout": 0.5}, {"router_jitter": 0.9}, {"capacity_factor": 0.3}])
def test_noise_and_capacity_change_training_and_nothing_in_evaluation(settings):
    x_TD = tokens(64, torch.float32).detach() * 3
    forward, layer = noisy_layer(**settings)
    plain, _ = noisy_layer()
    assert not torch.equal(forward(x_TD), plain(x_TD))
    layer.eval()
    assert torch.equal(forward(x_TD), forward(x_TD)) and torch.equal(forward(x_TD), plain(x_TD))


def test_jitter_changes_what_the_router_sees_and_not_what_experts_get():
    x_TD, weight = tokens(64), router(3)
    torch.manual_seed(0)
    noisy, still = route(x_TD, weight, jitter=0.5), route(x_TD, weight)
    assert not torch.equal(noisy.logits_TE, still.logits_TE)
    same = (noisy.expert_TK == still.expert_TK)[:, 0]
    layer = experts([4, 3, 5])
    # Divided by its gate, the output of a token that kept its expert is that of the expert on the plain state.
    y, z = (dispatch_sorted(x_TD, routing, layer) / routing.gate_TK for routing in (noisy, still))
    torch.testing.assert_close(y[same], z[same])


def test_an_only_expert_takes_the_dropout_of_activations_and_several_that_of_experts():
    torch.manual_seed(0)
    config = TransformerConfig(vocab_size=5, activation_dropout=0.9, expert_dropout=0.0)
    x_TD = tokens(8, torch.float32)
    several = ExpertLayer(dim=DIM, widths=[7, 7], config=config)
    one = ExpertLayer(dim=DIM, widths=[7], config=config)
    results = [several(x_TD, widths=[7, 7], top_k=1, slots=[0, 1])[0] for _ in range(2)]
    assert torch.equal(*results)
    results = [one(x_TD, widths=[7], top_k=1, slots=[0])[0] for _ in range(2)]
    assert not torch.equal(*results)
    inherits = TransformerConfig(vocab_size=5, activation_dropout=0.9)
    several = ExpertLayer(dim=DIM, widths=[7, 7], config=inherits)
    results = [several(x_TD, widths=[7, 7], top_k=1, slots=[0, 1])[0] for _ in range(2)]
    assert not torch.equal(*results)
