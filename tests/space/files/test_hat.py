"""The files of HAT and AutoMoE. The architecture is HAT's for WMT'14 En-De on a Xeon, as published with it (MIT)."""

import pytest

from automoe.errors import SpaceError
from automoe.space import EncoderLayerArch, lint, parse_arch_info, parse_hat, read_architecture, read_space

HAT = """\
encoder-embed-dim-subtransformer: 512
decoder-embed-dim-subtransformer: 640

encoder-ffn-embed-dim-all-subtransformer: [3072, 2048, 1024]
decoder-ffn-embed-dim-all-subtransformer: [3072, 1024]

encoder-layer-num-subtransformer: 3
decoder-layer-num-subtransformer: 2

encoder-self-attention-heads-all-subtransformer: [4, 8, 4]
decoder-self-attention-heads-all-subtransformer: [8, 4]
decoder-ende-attention-heads-all-subtransformer: [4, 8]

# -1 means attending to last one encoder layer, 1 to the last two, 2 to the last three
decoder-arbitrary-ende-attn-all-subtransformer: [-1, 2]
"""
EXPERTS = """\
encoder-n-experts: [1, 3, 2]
encoder-num-experts-to-route: [1, 1, 1]
encoder-std-vs-dummy-experts: [1, 1, 1]
encoder-drop-mha-sublayer: [1, 1, 1]
"""
FRACTIONAL = "encoder-each-expert-ffn-dim-listoflist"


@pytest.fixture
def read(tmp_path):
    def from_text(text, kind=read_architecture):
        path = tmp_path / "sub.yml"
        path.write_text(text)
        return kind(path)

    return from_text


def test_a_file_of_hat_is_read_by_its_keys(read):
    arch = read(HAT)
    assert (arch.encoder.dim, arch.decoder.dim) == (512, 640)
    assert arch.encoder.layers[1] == EncoderLayerArch(heads=8, qkv_dim=512, expert_widths=(2048,))
    last = arch.decoder.layers[-1]
    assert (last.heads, last.cross_heads, last.cross_layers, last.cross_qkv_dim) == (4, 8, 3, 512)
    assert arch.decoder.layers[0].cross_layers == 1
    assert read(HAT, read_space).num_architectures == 1


def test_standard_experts_have_the_width_of_their_layer(read):
    arch = read(HAT + EXPERTS)
    assert [layer.expert_widths for layer in arch.encoder.layers] == [(3072,), (2048,) * 3, (1024,) * 2]
    assert all(layer.num_experts == 1 for layer in arch.decoder.layers)


def test_fractional_experts_have_the_widths_that_the_search_wrote(read):
    arch = read(HAT + EXPERTS + FRACTIONAL + ": ['3072', '1024_3072_2048', '1024_1024']\n")
    assert [layer.expert_widths for layer in arch.encoder.layers] == [(3072,), (3072, 2048, 1024), (1024, 1024)]


def test_training_arguments_of_common_yml_do_not_matter_and_its_qkv_dim_does(read):
    common = "arch: transformersuper_wmt_en_de\nlr: 1e-7\nencoder-layers: 6\n"
    assert read(HAT + common) == read(HAT)
    assert read(HAT + "qkv-dim: 256\n").encoder.layers[0].qkv_dim == 256


COMMON_KEYS = {
    "iwslt14.de-en": "train-subtransformer arch max-tokens data source-lang target-lang optimizer adam-betas "
    "weight-decay dropout criterion label-smoothing fp16 max-update warmup-updates lr-scheduler warmup-init-lr lr "
    "keep-last-epochs save-interval validate-interval encoder-embed-dim decoder-embed-dim encoder-ffn-embed-dim "
    "decoder-ffn-embed-dim encoder-layers decoder-layers encoder-attention-heads decoder-attention-heads",
    "wmt14.en-de, wmt14.en-fr, wmt19.en-de": "train-subtransformer arch share-all-embeddings max-tokens data "
    "optimizer adam-betas clip-norm weight-decay dropout attention-dropout criterion label-smoothing ddp-backend "
    "fp16 update-freq max-update warmup-updates lr-scheduler warmup-init-lr max-lr lr lr-shrink keep-last-epochs "
    "save-interval validate-interval encoder-embed-dim decoder-embed-dim encoder-ffn-embed-dim "
    "decoder-ffn-embed-dim encoder-layers decoder-layers encoder-attention-heads decoder-attention-heads",
}
"""The keys of each `common.yml` of HAT, `qkv-dim` left out."""


@pytest.mark.parametrize("keys", COMMON_KEYS.values(), ids=COMMON_KEYS)
def test_every_common_yml_of_hat_may_be_appended(read, keys):
    assert read(HAT + "".join(f"{key}: 1\n" for key in keys.split()) + "qkv-dim: 512\n") == read(HAT)


def test_an_unknown_key_is_answered_with_the_keys_of_a_sub_transformer(read):
    with pytest.raises(SpaceError, match="unknown key") as caught:
        read(HAT + "encoder-widths: [1]\n")
    allowed = caught.value.allowed.split(", ")
    assert {"encoder-ffn-embed-dim-all-subtransformer", "qkv-dim", "decoder-n-experts"} <= set(allowed)
    assert not set(allowed) & {key for keys in COMMON_KEYS.values() for key in keys.split()}


def test_lists_may_go_beyond_the_depth(read):
    assert read(HAT.replace("[-1, 2]", "[-1, 2, 1, 1, 1, 1]")) == read(HAT)


def test_mappings_and_lines_say_the_same_as_a_file(read):
    import yaml

    assert parse_hat(yaml.safe_load(HAT)) == parse_arch_info(HAT.splitlines()) == read(HAT)


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("encoder-layer-num-sub", "encoder-layers-num-sub"), 7, "Did you mean"),
        (("[3072, 1024]", "[3072]"), 5, "1 entries for 2 layers"),
        (("[-1, 2]", "[-1, 3]"), 15, "last 1, 2, 3"),
        (("[3072, 2048, 1024]", "[3072, 2O48, 1024]"), 4, "Did you mean 2048?"),
        (("[4, 8, 4]", "[4, 7, 4]"), 10, "into 7 equal heads"),
        (("transformer: 640", "transformer: 641"), 2, "even"),
        (("n-experts: [1", "n-expert: [1"), 16, "Did you mean 'encoder-n-experts'?"),
        (("std-vs-dummy-experts: [1", "std-vs-dummy-experts: [0"), 18, "cannot be expressed"),
        (("drop-mha-sublayer: [1", "drop-mha-sublayer: [0"), 19, "cannot be expressed"),
        (("encoder-drop", f"{FRACTIONAL}: ['1', '2_3', '4_5']\nencoder-drop"), 19, "has 2 width"),
        (("encoder-drop", f"{FRACTIONAL}: ['1', '2_x_4', '4_5']\nencoder-drop"), 19, "joined by _"),
    ],
)
def test_mistakes_in_a_file_of_hat_have_lines_too(read, change, line, words):
    text = HAT + EXPERTS
    assert change[0] in text
    mistakes = read(text.replace(*change), lint)
    assert [mistake.line for mistake in mistakes] == [line]
    assert words in str(mistakes[0])
    with pytest.raises(SpaceError):
        read(text.replace(*change))
