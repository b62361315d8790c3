"""The laws that published numbers obey, and the laws that counts must obey."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.cost import costs
from automoe.cost.formulas import attention_macs, experts_macs, experts_params, gate_macs, router_macs, router_params
from automoe.errors import ConfigError
from automoe.space import Architecture, find_architecture, parse_arch_info, read_architecture
from tests.space.strategies import architectures, few


def arch_info(encoder_dim, encoder_widths, encoder_heads, decoder_dim, decoder_widths, heads, cross_heads, cross):
    return [
        f"encoder-embed-dim-subtransformer: {encoder_dim}",
        f"encoder-layer-num-subtransformer: {len(encoder_widths)}",
        f"encoder-ffn-embed-dim-all-subtransformer: {encoder_widths}",
        f"encoder-self-attention-heads-all-subtransformer: {encoder_heads}",
        f"decoder-embed-dim-subtransformer: {decoder_dim}",
        f"decoder-layer-num-subtransformer: {len(decoder_widths)}",
        f"decoder-ffn-embed-dim-all-subtransformer: {decoder_widths}",
        f"decoder-self-attention-heads-all-subtransformer: {heads}",
        f"decoder-ende-attention-heads-all-subtransformer: {cross_heads}",
        f"decoder-arbitrary-ende-attn-all-subtransformer: {cross}",
    ]


def row(info, params, embedding, total, last_layer):
    return {
        "arch_info": info,
        "num_parameters_without_embedding_weights": params,
        "num_embedding_parameters": embedding,
        "total_flops": total,
        "last_layer_flops": last_layer,
        "total_flops_without_last_layer": total - last_layer,
    }


# Four of the sixty published sub-transformers (UBC-NLP/llmas, MIT): WMT'14 En-De twice, then En-Fr twice.
PUBLISHED = [
    row(
        arch_info(512, [1024, 1024, 2048, 2048, 2048, 1024], [4, 4, 4, 8, 4, 4], 640, [3072], [8], [4], [2]),
        params=22_199_936, embedding=20_971_520, total=2_669_506_728, last_layer=1_258_291_200,
    ),
    row(
        arch_info(640, [3072, 1024, 3072, 3072, 3072, 2048], [4, 8, 4, 8, 4, 4],
                  512, [1024, 3072, 1024], [8, 8, 4], [4, 4, 4], [-1, 1, 1]),
        params=39_528_448, embedding=16_777_216, total=3_479_416_512, last_layer=1_006_632_960,
    ),
    row(
        arch_info(640, [3072, 3072, 1024, 3072, 1024, 1024], [8, 8, 4, 4, 8, 4],
                  512, [2048, 1024], [4, 8], [4, 8], [2, -1]),
        params=31_258_112, embedding=22_790_144, total=3_340_900_020, last_layer=1_367_408_640,
    ),
    row(
        arch_info(512, [1024, 2048, 2048, 2048, 3072, 1024], [8, 8, 4, 4, 4, 8],
                  640, [1024, 3072], [4, 4], [8, 8], [2, 2]),
        params=28_110_080, embedding=28_487_680, total=3_544_834_740, last_layer=1_709_260_800,
    ),
]  # fmt: skip


def assert_counts_as_published(published: dict) -> None:
    arch = parse_arch_info(published["arch_info"])
    # They count the decoder's columns of the table; ours has as many as the larger side needs.
    vocab_size = published["num_embedding_parameters"] // arch.decoder.dim
    cost = costs(arch, vocab_size=vocab_size, pre_norm=False)
    assert cost.flops_hat == published["total_flops_without_last_layer"]
    assert cost.flops_last_layer == published["last_layer_flops"]
    assert cost.flops_hat + cost.flops_last_layer == published["total_flops"]
    assert cost.params_without_embedding == published["num_parameters_without_embedding_weights"]


@pytest.mark.parametrize("published", PUBLISHED)
def test_published_rows_are_matched_to_the_last_unit(published):
    assert_counts_as_published(published)


def test_all_published_sub_transformers_are_matched_to_the_last_unit():
    folder = os.environ.get("AUTOMOE_DATA")
    files = sorted((Path(folder) / "subtransformer_bleu").glob("*.jsonl.gz")) if folder else []
    if not files:
        pytest.skip(
            "NOT CHECKED against all 60 published rows: set AUTOMOE_DATA to a folder with subtransformer_bleu/"
        )
    lines = [line for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    rows = [json.loads(line)["scratch"] for line in lines]
    assert len(rows) == 60
    for published in rows:
        assert_counts_as_published(published)


def test_flops_and_parameters_of_hat_on_a_xeon_are_those_that_it_reports():
    # HAT (Wang et al. 2020), WMT'14 En-De on a Xeon, 450.9 ms: 3.5 GFLOPs, 56.73 M parameters without embeddings.
    info = arch_info(512, [3072] * 6, [4, 4, 8, 8, 8, 4], 512, [3072] * 6,
                     [8, 8, 8, 4, 4, 4], [4, 8, 8, 8, 8, 8], [-1, 1, 1, 1, -1, -1])  # fmt: skip
    cost = costs(parse_arch_info(info), vocab_size=32_768, pre_norm=False)
    assert round(cost.flops / 1e9, 2) == 3.53
    assert round(cost.params_without_embedding / 1e6, 2) == 56.73


def weights(arch: Architecture, vocab_size: int, pre_norm: bool) -> list[tuple[int, ...]]:
    """The shapes of all weights of the model, written out one by one."""
    shapes = [(vocab_size, max(arch.encoder.dim, arch.decoder.dim))]
    for side, _, layer in arch.layers():
        dim = arch.encoder.dim if side == "encoder" else arch.decoder.dim
        attentions = [(dim, layer.qkv_dim)]
        if side == "decoder":
            attentions.append((arch.encoder.dim, layer.cross_qkv_dim))
        for key_dim, qkv in attentions:
            shapes += [(qkv, dim), (qkv,), (qkv, key_dim), (qkv,), (qkv, key_dim), (qkv,), (dim, qkv), (dim,)]
        shapes += [(dim,), (dim,)] * (len(attentions) + 1)
        for width in layer.expert_widths:
            shapes += [(width, dim), (width,), (dim, width), (dim,)]
        if layer.num_experts > 1:
            shapes.append((layer.num_experts, dim))
    if pre_norm:
        shapes += [(arch.encoder.dim,)] * 2 + [(arch.decoder.dim,)] * 2
    return shapes


@few
@given(architectures(), st.integers(1, 50_000), st.booleans())
def test_parameters_are_the_sizes_of_all_weights(arch, vocab_size, pre_norm):
    cost = costs(arch, vocab_size=vocab_size, pre_norm=pre_norm)
    total = sum(int(np.prod(shape)) for shape in weights(arch, vocab_size, pre_norm))
    assert cost.params_total == total
    assert cost.memory_bytes == 4 * total
    assert cost.params_embedding == vocab_size * max(arch.encoder.dim, arch.decoder.dim)


@few
@given(architectures(), st.booleans())
def test_active_parameters_lack_exactly_the_narrowest_idle_experts(arch, pre_norm):
    cost = costs(arch, vocab_size=100, pre_norm=pre_norm)
    idle = 0
    for side, _, layer in arch.layers():
        dim = arch.encoder.dim if side == "encoder" else arch.decoder.dim
        idle += sum(2 * dim * width + width + dim for width in layer.expert_widths[layer.top_k :])
    assert cost.params_total - cost.params_active == idle
    assert cost.params_active_without_embedding == cost.params_without_embedding - idle


@few
@given(architectures(), st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_flops_are_twice_the_multiplications_of_matrix_products(arch, source, target, pre_norm):
    cost = costs(arch, vocab_size=100, pre_norm=pre_norm, source_tokens=source, target_tokens=target)
    macs = 0.0
    for side, _, layer in arch.layers():
        dim, tokens = (arch.encoder.dim, source) if side == "encoder" else (arch.decoder.dim, target)
        products = [(tokens, dim, layer.qkv_dim)] * 4 + [(tokens, layer.qkv_dim, tokens)] * 2
        if side == "decoder":
            seen, qkv = source * layer.cross_layers, layer.cross_qkv_dim
            products += [(tokens, dim, qkv)] * 2 + [(seen, arch.encoder.dim, qkv)] * 2 + [(tokens, qkv, seen)] * 2
        if layer.num_experts > 1:
            products.append((tokens, dim, layer.num_experts))
        macs += sum(a * b * c for a, b, c in products)
        macs += sum(2 * tokens * dim * width * layer.top_k / layer.num_experts for width in layer.expert_widths)
    layers = len(arch.encoder.layers) + len(arch.decoder.layers)
    assert abs(cost.flops - 2 * macs) <= layers  # expectations are rounded once a layer
    assert cost.flops_with_last_layer == cost.flops + 2 * target * arch.decoder.dim * 100


@few
@given(architectures(), st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_flops_of_hat_add_twice_the_elementwise_products(arch, source, target, pre_norm):
    cost = costs(arch, vocab_size=100, pre_norm=pre_norm, source_tokens=source, target_tokens=target)
    products = []
    for side, dim, tokens in (("encoder", arch.encoder.dim, source), ("decoder", arch.decoder.dim, target)):
        products += [tokens * dim, tokens]  # scaling of the embedding, positions
        for layer in getattr(arch, side).layers:
            products += [tokens * layer.qkv_dim, 1, 1, 1]  # scaling of the queries, sizes
            products += [tokens * dim, tokens * dim]  # norms of self-attention and experts
            if side == "decoder":
                products += [tokens * layer.cross_qkv_dim, 1, 1, 1, tokens * dim]
            if layer.num_experts > 1:
                products += [tokens * dim] * layer.top_k  # gates
    if pre_norm:
        seen = {back for layer in arch.decoder.layers for back in range(layer.cross_layers)}
        products += [source * arch.encoder.dim for _ in seen] + [target * arch.decoder.dim]
    assert cost.flops_hat - cost.flops == 2 * sum(products)


@few
@given(architectures())
def test_where_the_norms_stand_changes_no_budgeted_flops(arch):
    assert costs(arch, vocab_size=100, pre_norm=True).flops == costs(arch, vocab_size=100, pre_norm=False).flops


@few
@given(architectures())
def test_experts_of_equal_width_cost_a_dense_layer_and_the_router(arch):
    tokens, dim, width = 30, arch.encoder.dim, arch.encoder.layers[0].expert_widths[0]
    assert experts_macs(tokens, dim, 5 * width, 5, 1) == experts_macs(tokens, dim, width, 1, 1)
    assert router_macs(tokens, dim, 5) == 5 * tokens * dim
    assert router_macs(tokens, dim, 1) == router_params(dim, 1) == gate_macs(tokens, dim, 1, 1) == 0


@few
@given(st.lists(st.tuples(*[st.integers(1, 2000)] * 3), min_size=1, max_size=5))
def test_formulas_take_arrays_of_sizes_as_they_take_numbers(rows):
    a, b, c = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    assert attention_macs(a, b, c, c, a).tolist() == [attention_macs(x, y, z, z, x) for x, y, z in rows]
    one = np.ones_like(a)
    assert experts_macs(a, b, c, a, one).tolist() == [experts_macs(x, y, z, x, 1) for x, y, z in rows]
    assert router_macs(a, b, c).tolist() == [router_macs(x, y, z) for x, y, z in rows]
    assert experts_params(a, b, c).tolist() == [experts_params(x, y, z) for x, y, z in rows]


def test_the_json_form_holds_every_cost_once():
    cost = costs(read_architecture(find_architecture("tiny")), vocab_size=1000, pre_norm=True)
    form = cost.to_dict()
    assert all(form[name] == getattr(cost, name) for name in form)
    assert json.loads(json.dumps(form)) == form


@pytest.mark.parametrize("key", ["vocab_size", "source_tokens", "target_tokens"])
def test_sizes_below_one_are_refused(key):
    arch = read_architecture(find_architecture("tiny"))
    with pytest.raises(ConfigError) as caught:
        costs(arch, **({"vocab_size": 10, "pre_norm": True} | {key: 0}))
    assert caught.value.key == key
