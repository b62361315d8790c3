import dataclasses
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given

from automoe.errors import SpaceError
from automoe.resources import resource_folder
from automoe.space import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    EncoderArch,
    EncoderLayerArch,
    find_architecture,
    read_architecture,
    read_space,
    space_of,
    write_architecture,
)
from tests.space.strategies import architectures, few

SHIPPED = sorted((resource_folder("search_spaces") / "architectures").glob("*.yaml"))


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_what_is_written_is_read_back(tmp_path_factory, suffix):
    path = tmp_path_factory.mktemp("forms") / f"arch{suffix}"

    @few
    @given(architectures())
    def check(arch):
        write_architecture(arch, path)
        assert read_architecture(path) == arch
        assert read_space(path).num_architectures == read_space(path).num_raw == 1

    check()


@few
@given(architectures())
def test_the_space_of_an_architecture_has_it_as_its_only_point(arch):
    space = space_of(arch, "one")
    assert space.num_architectures == space.num_raw == 1
    assert space.largest() == space.smallest() == arch


def test_sizes_that_are_left_out_take_their_documented_defaults(tmp_path):
    path = tmp_path / "arch.yaml"
    path.write_text(
        "encoder: {dim: 32, layers: [{heads: 4, expert_widths: 64}]}\n"
        "decoder: {dim: 24, layers: [{heads: 2, expert_widths: [16, 48]}]}\n"
    )
    assert read_architecture(path) == Architecture(
        encoder=EncoderArch(dim=32, layers=(EncoderLayerArch(heads=4, qkv_dim=32, expert_widths=(64,)),)),
        decoder=DecoderArch(
            dim=24,
            layers=(
                DecoderLayerArch(
                    heads=2,
                    qkv_dim=24,
                    expert_widths=(48, 16),
                    top_k=1,
                    cross_heads=2,
                    cross_qkv_dim=24,
                    cross_layers=1,
                ),
            ),
        ),
    )


def test_a_search_space_is_refused_where_an_architecture_is_wanted():
    path = resource_folder("search_spaces") / "quickstart.yaml"
    with pytest.raises(SpaceError, match="is a search space of") as caught:
        read_architecture(path)
    assert caught.value.file == str(path)


def test_a_suffix_without_meaning_is_refused(tmp_path):
    with pytest.raises(SpaceError, match=r"\.json"):
        write_architecture(read_architecture(find_architecture("tiny")), tmp_path / "arch.toml")


def test_json_is_read_without_yaml(tmp_path, monkeypatch):
    path = tmp_path / "arch.json"
    arch = read_architecture(find_architecture("tiny"))
    write_architecture(arch, path)
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert read_architecture(path) == arch


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_architecture_has_unequal_experts_on_both_sides_unless_its_name_says_otherwise(path):
    arch = read_architecture(path)
    unequal = [
        any(len(set(layer.expert_widths)) > 1 for layer in side.layers) for side in (arch.encoder, arch.decoder)
    ]
    assert unequal == [not path.stem.startswith(("switch", "dense"))] * 2


def test_the_quickstart_architecture_lies_in_the_quickstart_space():
    arch = read_architecture(find_architecture("quickstart"))
    assert arch in read_space(resource_folder("search_spaces") / "quickstart.yaml")


@pytest.mark.parametrize("change", [{"heads": 5}, {"top_k": 9}, {"heads": 0}, {"cross_layers": 3}])
def test_impossible_sizes_in_json_name_the_layer(tmp_path, change):
    path: Path = tmp_path / "arch.json"
    form = read_architecture(find_architecture("tiny")).to_dict()
    form["decoder"]["layers"][0] |= change
    path.write_text(json.dumps(form))
    with pytest.raises(SpaceError) as caught:
        read_architecture(path)
    assert caught.value.key == f"decoder.layers[0].{next(iter(change))}"


def test_architectures_are_frozen():
    arch = read_architecture(find_architecture("tiny"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        arch.encoder.dim = 64
