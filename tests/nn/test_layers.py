"""Encoder and decoder layers, dense, against PyTorch's own layers with the same weights, pre- and post-norm."""

import pytest
import torch
from torch import nn

from automoe.nn import TransformerConfig
from automoe.nn.layers import DecoderLayer, EncoderLayer
from tests.architectures import decoder_layer, encoder_layer

DIM, WIDTH, HEADS = 16, 24, 4


def with_weights(layer):
    torch.manual_seed(0)
    layer.double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.3)
    return layer


def copy_attention(ours, theirs):
    theirs.in_proj_weight.copy_(torch.cat([ours.query_weight, ours.key_weight, ours.value_weight]))
    theirs.in_proj_bias.copy_(torch.cat([ours.query_bias, ours.key_bias, ours.value_bias]))
    theirs.out_proj.weight.copy_(ours.output_weight)
    theirs.out_proj.bias.copy_(ours.output_bias)


def copy_rest(ours, theirs, *norms):
    for linear, index in ((theirs.linear1, 1), (theirs.linear2, 2)):
        linear.weight.copy_(getattr(ours.experts, f"w{index}")[0])
        linear.bias.copy_(getattr(ours.experts, f"b{index}")[0])
    for one, other in norms:
        other.weight.copy_(one.weight)
        other.bias.copy_(one.bias)


@pytest.mark.parametrize("pre_norm", [True, False])
def test_an_encoder_layer_is_torchs(pre_norm):
    arch = encoder_layer(WIDTH, heads=HEADS, qkv_dim=DIM)
    ours = with_weights(EncoderLayer(DIM, arch, TransformerConfig(vocab_size=5, pre_norm=pre_norm)))
    theirs = nn.TransformerEncoderLayer(DIM, HEADS, WIDTH, norm_first=pre_norm, batch_first=True).double().eval()
    with torch.no_grad():
        copy_attention(ours.self_attention, theirs.self_attn)
        copy_rest(ours, theirs, (ours.self_norm, theirs.norm1), (ours.expert_norm, theirs.norm2))
    x_NLD = torch.randn(3, 6, DIM, dtype=torch.float64)
    seen_NL = torch.arange(6) < torch.tensor([6, 2, 4])[:, None]
    y_NLD, _ = ours(x_NLD, arch, (0,), mask=seen_NL[:, None, None, :], token_T=None)
    expected = theirs(x_NLD, src_key_padding_mask=~seen_NL)
    torch.testing.assert_close(y_NLD[seen_NL], expected[seen_NL], atol=1e-12, rtol=0)


@pytest.mark.parametrize("pre_norm", [True, False])
def test_a_decoder_layer_is_torchs(pre_norm):
    arch = decoder_layer(WIDTH, heads=HEADS, qkv_dim=DIM, cross_heads=HEADS, cross_qkv_dim=DIM)
    ours = with_weights(DecoderLayer(DIM, DIM, arch, TransformerConfig(vocab_size=5, pre_norm=pre_norm)))
    theirs = nn.TransformerDecoderLayer(DIM, HEADS, WIDTH, norm_first=pre_norm, batch_first=True).double().eval()
    with torch.no_grad():
        copy_attention(ours.self_attention, theirs.self_attn)
        copy_attention(ours.cross_attention, theirs.multihead_attn)
        norms = (ours.self_norm, theirs.norm1), (ours.cross_norm, theirs.norm2), (ours.expert_norm, theirs.norm3)
        copy_rest(ours, theirs, *norms)
    x_NLD, states = torch.randn(3, 6, DIM, dtype=torch.float64), torch.randn(3, 4, DIM, dtype=torch.float64)
    source = ours.project_source(states, arch)
    y_NLD, _, _ = ours(x_NLD, arch, (0,), source=source, source_mask=None, past=None, token_T=None)
    later_LL = torch.ones(6, 6, dtype=torch.bool).triu(1)
    torch.testing.assert_close(y_NLD, theirs(x_NLD, states, tgt_mask=later_LL), atol=1e-12, rtol=0)
