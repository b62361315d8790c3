"""What is written in the form of HAT and AutoMoE is read back; what the form cannot hold is refused."""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.space import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    EncoderArch,
    EncoderLayerArch,
    find_architecture,
    parse_arch_info,
    read_architecture,
    read_space_file,
)
from automoe.space.files.hat_writer import hat_yaml, write_hat
from tests.space.files.test_hat import EXPERTS, FRACTIONAL, HAT
from tests.space.strategies import architectures, few, sizes

QKV_DIMS = st.sampled_from((512, 256, 96))


@st.composite
def architectures_of_hat(draw) -> Architecture:
    """Architectures that the form can hold: one width of all attentions, at most three encoder layers seen."""
    qkv_dim, encoder_depth = draw(QKV_DIMS), draw(st.integers(1, 5))
    heads = st.sampled_from([count for count in range(1, 9) if qkv_dim % count == 0])

    def layer() -> dict[str, object]:
        widths = tuple(draw(st.lists(sizes, min_size=1, max_size=4)))
        top_k = draw(st.integers(1, len(widths)))
        return {"heads": draw(heads), "qkv_dim": qkv_dim, "expert_widths": widths, "top_k": top_k}

    return Architecture(
        encoder=EncoderArch(
            dim=2 * draw(sizes), layers=tuple(EncoderLayerArch(**layer()) for _ in range(encoder_depth))
        ),
        decoder=DecoderArch(
            dim=2 * draw(sizes),
            layers=tuple(
                DecoderLayerArch(
                    **layer(),
                    cross_heads=draw(heads),
                    cross_qkv_dim=qkv_dim,
                    cross_layers=draw(st.integers(1, min(3, encoder_depth))),
                )
                for _ in range(draw(st.integers(1, 4)))
            ),
        ),
    )


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "sub.yml"

    @few
    @given(architectures_of_hat())
    def check(arch):
        write_hat(path, arch)
        file = read_space_file(path)
        assert file.is_hat
        assert file.architecture() == arch

    check()


@few
@given(architectures())
def test_any_architecture_is_written_in_full_or_refused_by_the_name_of_a_layer(arch):
    try:
        text = hat_yaml(arch)
    except SpaceError as error:
        assert "layers[" in error.key and error.hint
    else:
        assert parse_arch_info(text.splitlines()) == arch


def test_a_dense_model_is_a_file_of_hat(tmp_path):
    (tmp_path / "sub.yml").write_text(HAT)
    written = yaml.safe_load(hat_yaml(read_architecture(tmp_path / "sub.yml")))
    assert written == yaml.safe_load(HAT)


@pytest.mark.parametrize("fractional", [False, True], ids=["one width a layer", "a width for each expert"])
def test_a_model_with_experts_is_a_file_of_automoe(tmp_path, fractional):
    widths = f"{FRACTIONAL}: ['3072', '3072_2048_1024', '1024_1024']\n" if fractional else ""
    (tmp_path / "sub.yml").write_text(HAT + EXPERTS + widths)
    written = yaml.safe_load(hat_yaml(read_architecture(tmp_path / "sub.yml")))
    assert written["encoder-n-experts"] == [1, 3, 2] and written["decoder-n-experts"] == [1, 1]
    assert written["encoder-num-experts-to-route"] == [1, 1, 1]
    if fractional:  # text: a bare 3072_1024 would be a number
        assert written[FRACTIONAL] == ["3072", "3072_2048_1024", "1024_1024"]
        assert written["decoder-each-expert-ffn-dim-listoflist"] == ["3072", "1024"]
    else:
        assert not [key for key in written if "listoflist" in key]


def in_hats_form() -> Architecture:
    return parse_arch_info((HAT + EXPERTS).splitlines())


def test_the_width_of_the_attentions_stands_there_only_if_it_is_not_that_of_all_published_spaces():
    assert "qkv-dim" not in hat_yaml(in_hats_form())
    assert "qkv-dim: 256\n" in hat_yaml(parse_arch_info((HAT + "qkv-dim: 256").splitlines()))


def with_layer(arch: Architecture, side: str, index: int, **sizes: int) -> Architecture:
    layers = list(getattr(arch, side).layers)
    layers[index] = replace(layers[index], **sizes)
    return replace(arch, **{side: replace(getattr(arch, side), layers=tuple(layers))})


@pytest.mark.parametrize(
    ("side", "index", "key", "value"),
    [
        ("encoder", 2, "qkv_dim", 256),
        ("decoder", 1, "qkv_dim", 256),
        ("decoder", 0, "cross_qkv_dim", 256),
        ("decoder", 1, "cross_layers", 4),
    ],
)
def test_what_the_form_cannot_hold_is_named_and_nothing_is_written(tmp_path, side, index, key, value):
    arch = in_hats_form()
    arch = replace(arch, encoder=replace(arch.encoder, layers=(*arch.encoder.layers, arch.encoder.layers[0])))
    with pytest.raises(SpaceError) as caught:
        write_hat(tmp_path / "sub.yml", with_layer(arch, side, index, **{key: value}))
    assert (caught.value.key, caught.value.value) == (f"{side}.layers[{index}].{key}", value)
    assert caught.value.hint
    assert not [*tmp_path.iterdir()]


def test_a_width_of_attention_that_follows_the_dimension_is_refused_where_the_sides_differ():
    arch = read_architecture(find_architecture("tiny"))
    assert arch.encoder.layers[0].qkv_dim != arch.decoder.layers[0].qkv_dim
    with pytest.raises(SpaceError, match=r"decoder\.layers\[0\]\.qkv_dim"):
        hat_yaml(arch)


def test_all_published_sub_transformers_are_written_as_they_were_published():
    folder = os.environ.get("AUTOMOE_DATA")
    files = sorted((Path(folder) / "subtransformer_bleu").glob("*.jsonl.gz")) if folder else []
    if not files:
        pytest.skip("NOT CHECKED on the 60 published files: set AUTOMOE_DATA to a folder with subtransformer_bleu/")
    rows = [json.loads(line)["scratch"] for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert len(rows) == 60
    for published in rows:
        lines = [line for line in hat_yaml(parse_arch_info(published["arch_info"])).splitlines() if line]
        assert sorted(lines) == sorted(published["arch_info"])
