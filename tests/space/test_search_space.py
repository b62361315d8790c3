import dataclasses
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
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
from tests.space.strategies import few, fewer, spaces

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


def places(form, path=()) -> Iterator[tuple]:
    """The paths of all numbers in the JSON form of an architecture."""
    if isinstance(form, int):
        yield path
        return
    for key, value in form.items() if isinstance(form, dict) else enumerate(form):
        yield from places(value, (*path, key))


def with_size(arch: Architecture, path: tuple, size: int) -> Architecture | None:
    """The architecture with another number at one place; None if that is no architecture."""
    form = part = arch.to_dict()
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = size
    try:
        return Architecture.from_dict(form)
    except SpaceError:
        return None


@few
@given(spaces(), seeds)
def test_every_sample_is_in_its_space_and_with_a_foreign_size_it_is_not(space, rng):
    arch = space.sample(rng)
    assert all(some in space for some in (arch, space.largest(), space.smallest()))
    for path in places(arch.to_dict()):
        if path[-1] not in ("top_k", "cross_layers"):  # other sizes limit these
            foreign = with_size(arch, path, 4 if path[-1] in ("heads", "cross_heads") else 1000)
            assert foreign is not None
            assert foreign not in space
    assert "quickstart" not in space


@fewer
@given(spaces().filter(lambda space: space.num_raw <= 2000), spaces(), seeds, st.data())
def test_in_a_space_is_what_its_enumeration_holds(space, other, rng, data):
    _, found = enumerate_space(space)
    assert all(arch in space for arch in found)
    stranger = other.sample(rng)
    assert (stranger in space) == (stranger in found)
    inside = data.draw(st.sampled_from(sorted(found, key=str)))
    path = data.draw(st.sampled_from(list(places(inside.to_dict()))))
    changed = with_size(inside, path, data.draw(st.sampled_from((1, 2, 3, 4, 8, 16, 24))))
    assume(changed is not None)
    assert (changed in space) == (changed in found)


EXPERTS = ExpertChoices(count=(1, 2), width=(8, 16), per_expert=True)


def space_of_few(experts=EXPERTS, top_k=(1, 2), depth=(1, 2), decoder_depth=(1, 2), cross_layers=(1, 2)):
    encoder = LayerChoices(heads=(1,), experts=experts, top_k=top_k)
    decoder = DecoderLayerChoices(heads=(1,), experts=ExpertChoices.fixed((8,)), cross_layers=cross_layers)
    return SearchSpace(
        name="few",
        encoder=SideChoices(dim=(4,), depth=depth, layers=(encoder,) * 2),
        decoder=SideChoices(dim=(4,), depth=decoder_depth, layers=(decoder,) * 2),
    )


@pytest.mark.parametrize(
    "narrowed",
    [
        {},
        {"top_k": (1,)},
        {"top_k": (2,)},
        {"depth": (2,)},
        {"decoder_depth": (1,)},
        {"cross_layers": (1,)},
        {"cross_layers": (2,)},
        {"experts": ExpertChoices(count=(2,), width=(8, 16), per_expert=True)},
        {"experts": ExpertChoices(count=(1, 2), width=(8, 16))},
        {"experts": ExpertChoices.fixed((8, 16))},
    ],
    ids=str,
)
def test_of_a_wider_space_exactly_the_enumerated_architectures_are_in_a_narrowed_one(narrowed):
    space = space_of_few(**narrowed)
    _, wider = enumerate_space(space_of_few())
    assert {arch for arch in wider if arch in space} == enumerate_space(space)[1]


def assert_digests_tell_sets_apart(spaces: list[SearchSpace]) -> None:
    """Equal digests and equal sets of architectures, found by enumeration, divide the spaces alike."""
    by_digest, by_set = {}, {}
    for index, space in enumerate(spaces):
        by_digest.setdefault(space.digest, set()).add(index)
        by_set.setdefault(frozenset(enumerate_space(space)[1]), set()).add(index)
    assert len(by_set) < len(spaces)  # some of them are one set in two spellings
    assert sorted(map(sorted, by_digest.values())) == sorted(map(sorted, by_set.values()))


def test_digests_are_equal_exactly_for_equal_sets_however_experts_are_written():
    counts, widths = [(1,), (2,), (1, 2)], [(8,), (16,), (8, 16), (16, 8)]
    experts = [ExpertChoices(count=c, width=w, per_expert=p) for c, w, p in product(counts, widths, (False, True))]
    experts += [ExpertChoices.fixed(fixed) for n in (1, 2) for fixed in product((8, 16), repeat=n)]
    dense = DecoderLayerChoices(heads=(1,), experts=ExpertChoices.fixed((8,)))
    decoder = SideChoices(dim=(4,), depth=(1,), layers=(dense,))
    assert_digests_tell_sets_apart(
        [
            SearchSpace(
                name="digest",
                encoder=SideChoices(
                    dim=(4,), depth=(1,), layers=(LayerChoices(heads=(1,), experts=e, top_k=(1, 2)[: e.count[-1]]),)
                ),
                decoder=decoder,
            )
            for e in experts
        ]
    )


def test_digests_are_equal_exactly_for_equal_sets_whichever_defaults_are_spelt_out():
    experts = ExpertChoices.fixed((8,))
    widths, heads = (None, (4,), (8,), (4, 8)), ((1,), (2,), (1, 2))
    encoder = SideChoices(dim=(4,), depth=(1,), layers=(LayerChoices(heads=(1,), experts=experts),))
    assert_digests_tell_sets_apart(
        [
            SearchSpace(
                name="digest",
                encoder=encoder,
                decoder=SideChoices(
                    dim=dim,
                    depth=(1,),
                    layers=(
                        DecoderLayerChoices(
                            heads=h, experts=experts, qkv_dim=q, cross_heads=cross_h, cross_qkv_dim=cross_q
                        ),
                    ),
                ),
            )
            for dim, q, cross_q, h, cross_h in product(
                ((4,), (4, 8)), widths, widths, heads, (None, (1,), (2,), (2, 1))
            )
        ]
    )


def test_layers_beyond_the_deepest_model_change_no_digest():
    space = read_space(resource_folder("search_spaces") / "quickstart.yaml")
    longer = dataclasses.replace(space.decoder, layers=space.decoder.layers * 2)
    assert dataclasses.replace(space, decoder=longer).digest == space.digest


def test_choices_in_any_order_are_kept_ascending():
    experts = ExpertChoices(count=(2, 1), width=(16, 8, 16))
    layer = DecoderLayerChoices(heads=(2, 1), experts=experts, cross_layers=(2, 1))
    assert (experts.count, experts.width, layer.heads, layer.cross_layers) == ((1, 2), (8, 16), (1, 2), (1, 2))


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
    # Experts of a layer as multisets of 3 widths: 3 for one expert, 6 for two, 10 for three, 15 for four; 2 heads;
    # 2 cross_layers in the decoder.
    encoder_layer, decoder_layer = 2 * (3 + 6 + 10 + 15), 2 * 2 * (3 + 6 + 10 + 15)
    encoders = sum(encoder_layer**depth for depth in (2, 3))
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
