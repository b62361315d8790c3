import dataclasses
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.resources import resource_folder
from automoe.space import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    DecoderLayerChoices,
    EncoderArch,
    EncoderLayerArch,
    ExpertChoices,
    LayerChoices,
    SearchSpace,
    SideChoices,
    read_space,
)
from tests.space.strategies import few, spaces

SHIPPED = sorted(resource_folder("search_spaces").glob("*.yaml"))
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def all_layers(layer: LayerChoices, dim: int, encoder_depth: int, decoder: bool) -> list[tuple]:
    """Every way to choose the genes of one layer, experts in order, written out without any counting rule."""
    experts = layer.experts
    if experts.widths is not None:
        ways = [experts.widths]
    elif experts.per_expert:
        ways = [way for count in experts.count for way in product(experts.width, repeat=count)]
    else:
        ways = [(width,) * count for count in experts.count for width in experts.width]
    found = set()
    for widths, heads, qkv, k in product(ways, layer.heads, layer.qkv_dim or (dim,), layer.top_k):
        sizes = (heads, qkv, widths, min(k, len(widths)))
        if not decoder:
            found.add(sizes)
            continue
        for cross in product(layer.cross_heads or (heads,), layer.cross_qkv_dim or (qkv,), layer.cross_layers):
            found.add((*sizes, cross[0], cross[1], min(cross[2], encoder_depth)))
    return sorted(found)


def enumerate_space(space: SearchSpace) -> tuple[int, set[Architecture]]:
    """The number of gene combinations and the set of architectures, by brute force."""
    names = ("heads", "qkv_dim", "expert_widths", "top_k", "cross_heads", "cross_qkv_dim", "cross_layers")
    raw, found = 0, set()
    for dim, depth, decoder_dim, decoder_depth in product(
        space.encoder.dim, space.encoder.depth, space.decoder.dim, space.decoder.depth
    ):
        encoders = [all_layers(layer, dim, depth, False) for layer in space.encoder.layers[:depth]]
        decoders = [all_layers(layer, decoder_dim, depth, True) for layer in space.decoder.layers[:decoder_depth]]
        for stack in product(*encoders, *decoders):
            raw += 1
            layers = [dict(zip(names, sizes, strict=False)) for sizes in stack]
            encoder = EncoderArch(dim=dim, layers=tuple(EncoderLayerArch(**sizes) for sizes in layers[:depth]))
            decoder = tuple(DecoderLayerArch(**sizes) for sizes in layers[depth:])
            found.add(Architecture(encoder=encoder, decoder=DecoderArch(dim=decoder_dim, layers=decoder)))
    return raw, found


@few
@given(spaces().filter(lambda space: space.num_raw <= 2000), seeds)
def test_sizes_equal_brute_force_enumeration_and_samples_lie_inside(space, rng):
    raw, found = enumerate_space(space)
    assert space.num_raw == raw
    assert space.num_architectures == len(found)
    assert {space.sample(rng) for _ in range(20)} | {space.largest(), space.smallest()} <= found


@few
@given(spaces(), seeds)
def test_every_sample_fits_the_largest_and_the_smallest_fits_every_sample(space, rng):
    arch = space.sample(rng)
    assert arch.fits(space.largest())
    assert space.smallest().fits(arch)


def test_sampling_reaches_every_architecture_of_a_tiny_space():
    experts = ExpertChoices(count=(1, 2), width=(8, 16), per_expert=True)
    encoder = LayerChoices(heads=(1, 2), experts=experts)
    decoder = DecoderLayerChoices(heads=(2,), experts=ExpertChoices.fixed((8,)), cross_layers=(1, 2))
    space = SearchSpace(
        name="tiny",
        encoder=SideChoices(dim=(8,), depth=(1, 2), layers=(encoder, encoder)),
        decoder=SideChoices(dim=(4, 8), depth=(1,), layers=(decoder,)),
    )
    rng = np.random.default_rng(0)
    assert space.num_architectures == 2 * (10 + 10 * 10 * 2)
    assert len({space.sample(rng) for _ in range(8000)}) == space.num_architectures


@few
@given(spaces(), st.integers(0, 2**32 - 1))
def test_equal_seeds_draw_equal_architectures(space, seed):
    assert space.sample(np.random.default_rng(seed)) == space.sample(np.random.default_rng(seed))


@few
@given(spaces())
def test_the_digest_depends_on_choices_and_not_on_the_name(space):
    assert dataclasses.replace(space, name="other").digest == space.digest
    wider = dataclasses.replace(space.encoder, dim=(*space.encoder.dim, 64))
    assert dataclasses.replace(space, encoder=wider).digest != space.digest


@few
@given(spaces())
def test_genes_list_every_choice_once(space):
    genes = space.genes()
    assert len({gene.name for gene in genes}) == len(genes)
    assert all(gene.slots >= 1 and bool(gene.choices) != bool(gene.follows) for gene in genes)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_space_loads_and_samples(path):
    space = read_space(path)
    assert space.name == path.stem
    assert space.num_raw >= space.num_architectures > 1
    assert space.sample(np.random.default_rng(0)).fits(space.largest())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_line_of_a_shipped_space_is_commented(path):
    lines = path.read_text().splitlines()
    values = [line for line in lines if ":" in line.partition("#")[0] and not line.rstrip().endswith(":")]
    assert all("#" in line for line in values if not line.startswith("name:"))


def test_the_size_of_the_quickstart_space_is_the_product_written_out():
    # Experts of a layer as multisets of 3 widths: 3 for 1, 6 for 2, 15 for 4; heads 2; cross_layers 2 in the decoder.
    encoder_layer, decoder_layer = 2 * (3 + 6 + 15), 2 * 2 * (3 + 6 + 15)
    encoders = sum(encoder_layer**depth for depth in (2, 3, 4))
    decoders = sum(decoder_layer**depth for depth in (1, 2, 3))
    space = read_space(resource_folder("search_spaces") / "quickstart.yaml")
    assert space.num_architectures == 3 * encoders * 3 * decoders


def test_choices_that_make_no_architecture_are_refused():
    space = read_space(resource_folder("search_spaces") / "quickstart.yaml")
    layer = dataclasses.replace(space.encoder.layers[0], heads=(2, 5))
    with pytest.raises(SpaceError, match="cannot be divided into 5") as caught:
        dataclasses.replace(space, encoder=dataclasses.replace(space.encoder, layers=(layer,) * 4))
    assert caught.value.key == "encoder.layers[0].heads"


def test_fixed_widths_are_kept_from_wide_to_narrow():
    assert ExpertChoices.fixed((8, 32, 16)).widths == (32, 16, 8)
