"""Attention against PyTorch's own module, which shares no code with it, in the two elastic ways of HAT: heads that
divide a fixed width anew, and a width that shrinks."""

import pytest
import torch

from automoe.nn.attention import Attention, KeyValue

QUERY_DIM, MEMORY_DIM, QKV_DIM = 12, 20, 24


def attention(seed=0):
    torch.manual_seed(seed)
    module = Attention(query_dim=QUERY_DIM, memory_dim=MEMORY_DIM, qkv_dim=QKV_DIM, dropout=0.0).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3)
    return module


def states(rows, length, dim, seed=1):
    return torch.randn(rows, length, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def reference(module, x_NLD, memory_BSD, heads, qkv_dim, **masks):
    """The same by torch.nn.functional.multi_head_attention_forward, over projections that are cut out first."""
    part = module.sliced(query_dim=x_NLD.shape[-1], memory_dim=memory_BSD.shape[-1], qkv_dim=qkv_dim)
    query = x_NLD @ part["query_weight"].T + part["query_bias"]
    key = memory_BSD @ part["key_weight"].T + part["key_bias"]
    value = memory_BSD @ part["value_weight"].T + part["value_bias"]
    identity, zeros = torch.eye(qkv_dim, dtype=x_NLD.dtype), torch.zeros(3 * qkv_dim, dtype=x_NLD.dtype)
    y_LNA, _ = torch.nn.functional.multi_head_attention_forward(
        *(t.transpose(0, 1) for t in (query, key, value)),
        *(qkv_dim, heads, None, zeros, None, None, False, 0.0, identity, zeros[:qkv_dim]),
        use_separate_proj_weight=True,
        **{f"{name}_proj_weight": identity for name in "qkv"},
        **masks,
    )
    return y_LNA.transpose(0, 1) @ part["output_weight"].T + part["output_bias"]


@pytest.mark.parametrize("heads, qkv_dim", [(1, 24), (2, 24), (3, 24), (8, 24), (4, 16), (2, 6), (1, 1)])
@pytest.mark.parametrize("query_dim, memory_dim", [(12, 20), (7, 5)])
def test_heads_divide_any_width_anew_as_in_torchs_attention(heads, qkv_dim, query_dim, memory_dim):
    module = attention()
    x_NLD, memory_BSD = states(3, 5, query_dim), states(3, 7, memory_dim, seed=2)
    memory = module.project(memory_BSD, heads=heads, qkv_dim=qkv_dim)
    assert memory.key_BHSC.shape == (3, heads, 7, qkv_dim // heads)
    y_NLD = module(x_NLD, memory, heads=heads, qkv_dim=qkv_dim)
    torch.testing.assert_close(y_NLD, reference(module, x_NLD, memory_BSD, heads, qkv_dim), atol=1e-12, rtol=0)


def test_the_number_of_heads_changes_the_answer_and_no_weight():
    module = attention()
    x_NLD, memory_BSD = states(2, 5, QUERY_DIM), states(2, 7, MEMORY_DIM, seed=2)

    def answer(heads):
        return module(x_NLD, module.project(memory_BSD, heads=heads, qkv_dim=QKV_DIM), heads=heads, qkv_dim=QKV_DIM)

    assert (answer(2) - answer(4)).abs().max() > 1e-3


def test_hidden_positions_do_not_count_and_a_causal_row_sees_none_after_it():
    module = attention()
    x_NLD, memory_BSD = states(2, 5, QUERY_DIM), states(2, 7, MEMORY_DIM, seed=2)
    seen_BS = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    memory = module.project(memory_BSD, heads=4, qkv_dim=QKV_DIM)
    y_NLD = module(x_NLD, memory, heads=4, qkv_dim=QKV_DIM, mask=seen_BS[:, None, None, :])
    expected = reference(module, x_NLD, memory_BSD, 4, QKV_DIM, key_padding_mask=~seen_BS)
    torch.testing.assert_close(y_NLD, expected, atol=1e-12, rtol=0)
    own_BSD = states(2, 5, MEMORY_DIM, seed=3)
    memory = module.project(own_BSD, heads=4, qkv_dim=QKV_DIM)
    y_NLD = module(x_NLD, memory, heads=4, qkv_dim=QKV_DIM, causal=True)
    later_LL = torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected = reference(module, x_NLD, own_BSD, 4, QKV_DIM, attn_mask=later_LL)
    torch.testing.assert_close(y_NLD, expected, atol=1e-12, rtol=0)


def test_rows_that_share_a_memory_answer_as_if_each_had_its_own():
    module = attention()
    x_NLD, memory_BSD = states(6, 1, QUERY_DIM), states(2, 7, MEMORY_DIM, seed=2)
    mask = torch.tensor([[True] * 7, [True] * 3 + [False] * 4])[:, None, None, :]
    memory = module.project(memory_BSD, heads=4, qkv_dim=QKV_DIM)
    shared = module(x_NLD, memory, heads=4, qkv_dim=QKV_DIM, mask=mask)
    row_N = torch.tensor([0, 0, 0, 1, 1, 1])
    own = module(x_NLD, memory.select(row_N), heads=4, qkv_dim=QKV_DIM, mask=mask[row_N])
    torch.testing.assert_close(shared, own, atol=1e-12, rtol=0)


def test_memories_are_appended_along_their_length():
    module = attention()
    memory_BSD = states(2, 7, MEMORY_DIM)
    whole = module.project(memory_BSD, heads=4, qkv_dim=QKV_DIM)
    first, second = (module.project(part, heads=4, qkv_dim=QKV_DIM) for part in memory_BSD.split([3, 4], dim=1))
    for part, expected in zip(first.append(second), KeyValue(*whole), strict=True):
        torch.testing.assert_close(part, expected, atol=1e-12, rtol=0)
