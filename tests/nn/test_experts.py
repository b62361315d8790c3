import pytest
import torch

from automoe.nn import Expert, balance_loss, dispatch_naive, dispatch_sorted, feed_forward, route, router_z_loss
from automoe.nn.experts import ExpertLayer, Routing

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


@pytest.mark.parametrize("top_k", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 17])
def test_sorted_dispatch_equals_naive_loop_with_gradients(count, top_k):
    layer, weight = experts([5, 3, 8, 1]), router(4)
    x_TD = tokens(count)
    parameters = [x_TD, weight, *(w for expert in layer for w in expert)]

    def outcome(dispatch):
        y_TD = dispatch(x_TD, route(x_TD, weight, top_k), layer)
        return y_TD, torch.autograd.grad(y_TD.square().sum(), parameters, allow_unused=True)

    (y, grads), (y_naive, grads_naive) = outcome(dispatch_sorted), outcome(dispatch_naive)
    torch.testing.assert_close(y, y_naive, atol=1e-12, rtol=0)
    for grad, naive in zip(grads, grads_naive, strict=True):
        # An expert that no token reached: the loop leaves its gradient out, and so does the sorted path.
        assert (grad is None) == (naive is None)
        if grad is not None:
            torch.testing.assert_close(grad, naive, atol=1e-11, rtol=0)


def test_gradients_are_those_of_finite_differences():
    layer, weight = experts([4, 2, 3]), router(3)
    x_TD = tokens(5)

    def output(x_TD, weight, *flat):
        layer = [Expert(*flat[i : i + 4]) for i in range(0, len(flat), 4)]
        return dispatch_sorted(x_TD, route(x_TD, weight), layer)

    assert torch.autograd.gradcheck(output, (x_TD, weight, *(w for expert in layer for w in expert)))


def test_single_expert_is_a_dense_layer():
    layer = ExpertLayer(dim=DIM, widths=[7], activation_dropout=0.0)
    assert layer.router_weight is None
    x_TD = tokens(4, torch.float32)
    y_TD, routing = layer(x_TD, widths=[7], top_k=1, slots=[0])
    assert routing is None
    torch.testing.assert_close(y_TD, feed_forward(x_TD, layer.experts(DIM, [7], [0])[0]))


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
