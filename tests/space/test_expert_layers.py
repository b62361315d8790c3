import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.space import (
    Census,
    DecoderLayerChoices,
    ExpertChoices,
    ExpertLayers,
    GenomeCodec,
    LayerChoices,
    SearchSpace,
    SideChoices,
)
from tests.space.genome.test_codec import any_genomes, rngs
from tests.space.strategies import PATTERNS, conditioned_spaces, few


def patterns(*texts: str) -> tuple[ExpertLayers, ...]:
    return tuple(map(ExpertLayers.parse, texts))


def space_of(*texts: str, counts=(1, 2), depth=(2, 3), per_expert=False) -> SearchSpace:
    experts = ExpertChoices(count=counts, width=(8, 16), per_expert=per_expert)
    return SearchSpace(
        name="patterns",
        encoder=SideChoices(dim=(4,), depth=depth, layers=(LayerChoices(heads=(1,), experts=experts),) * depth[-1]),
        decoder=SideChoices(dim=(4,), depth=(1,), layers=(DecoderLayerChoices(heads=(1,), experts=experts),)),
        expert_layers=patterns(*texts),
    )


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("all", "encoder 0 1 2 3 4 decoder 0 1 2"),
        ("none", "encoder decoder"),
        ("every 2", "encoder 1 3 decoder 1"),
        ("every 1", "encoder 0 1 2 3 4 decoder 0 1 2"),
        ("every 9", "encoder decoder"),
        ("first 2", "encoder 0 1 decoder 0 1"),
        ("last 2", "encoder 3 4 decoder 1 2"),
        ("last 4", "encoder 1 2 3 4 decoder 0 1 2"),
        ("encoder", "encoder 0 1 2 3 4 decoder"),
        ("decoder last 1", "encoder decoder 2"),
    ],
)
def test_a_pattern_names_the_layers_that_have_experts(text, layers):
    pattern = ExpertLayers.parse(text)
    found = {side: [str(i) for i in range(depth) if pattern.has_experts(side, i, depth)]
             for side, depth in (("encoder", 5), ("decoder", 3))}  # fmt: skip
    assert " ".join(("encoder", *found["encoder"], "decoder", *found["decoder"])) == layers


@given(st.sampled_from(PATTERNS))
def test_a_pattern_is_read_as_it_is_written(text):
    assert str(ExpertLayers.parse(text)) == text
    assert ExpertLayers.parse(f"  {text.replace(' ', '   ')} ") == ExpertLayers.parse(text)


@pytest.mark.parametrize(
    "text", ["", " ", "every", "every 0", "every -2", "last 2 encoder", "encoder free", "some", "all 2"]
)
def test_what_is_no_pattern_is_refused(text):
    with pytest.raises(SpaceError, match="is no pattern of expert layers") as caught:
        ExpertLayers.parse(text)
    assert "every N" in caught.value.allowed


def test_a_dense_layer_needs_no_1_among_its_numbers_of_experts():
    codec = GenomeCodec(space_of("every 2", counts=(2, 4)))
    for arch in codec.decode_all(codec.sample(50, np.random.default_rng(0))):
        counts = [layer.num_experts for layer in arch.encoder.layers]
        assert counts[::2] == [1] * len(counts[::2])
        assert set(counts[1::2]) <= {2, 4}


def test_the_gene_of_the_pattern_is_the_first_that_the_architecture_matches():
    space = space_of("free", "first 1", "last 1")
    codec = GenomeCodec(space)
    assert codec.names[0] == "expert_layers"
    assert [str(pattern) for pattern in space.patterns] == ["free", "first 1", "last 1"]
    genome_NG = Census(space).enumerate()
    for genome_G, arch in zip(genome_NG, codec.decode_all(genome_NG), strict=True):
        alone = [arch in dataclasses.replace(space, expert_layers=(pattern,)) for pattern in space.patterns]
        assert genome_G[0] == alone.index(True) + 1


def test_every_pattern_and_every_number_that_it_leaves_are_drawn_alike():
    space = space_of("free", "first 1", counts=(1, 2, 4), depth=(3,))
    codec = GenomeCodec(space)
    archs = codec.decode_all(codec.draw(9000, np.random.default_rng(0)))
    firsts = [arch.encoder.layers[0].num_experts for arch in archs]
    # Half of them have a first layer of 1, 2 or 4 experts, half of 2 or 4; a standard error is 0.005.
    assert np.mean([count == 1 for count in firsts]) == pytest.approx(1 / 6, abs=0.02)
    assert np.mean([count == 2 for count in firsts]) == pytest.approx(1 / 6 + 1 / 4, abs=0.02)


def test_what_a_child_gets_from_no_parent_is_drawn():
    # The first parent has experts in its last layer of two, the second none in three: the third layer gets them.
    space = space_of("encoder last 1", "none", counts=(1, 2, 4), per_expert=True)
    codec, rng = GenomeCodec(space), np.random.default_rng(0)
    archs = codec.decode_all(codec.draw(500, rng))
    one = next(arch for arch in archs if len(arch.encoder.layers) == 2 and arch.encoder.layers[1].num_experts > 1)
    other = next(arch for arch in archs if len(arch.encoder.layers) == 3 and arch.encoder.layers[2].num_experts == 1)
    a_NG, b_NG = (np.repeat(codec.encode(arch)[None], 1000, axis=0) for arch in (one, other))
    children = codec.decode_all(codec.cross(a_NG, b_NG, rng))
    assert {child.encoder.layers[2].num_experts for child in children if len(child.encoder.layers) == 3} == {1, 2, 4}


@few
@given(conditioned_spaces(), rngs)
def test_free_alone_is_the_same_as_no_pattern(space, rng):
    plain = dataclasses.replace(space, expert_layers=())
    free = dataclasses.replace(space, expert_layers=patterns("free"))
    assert free.digest == plain.digest
    assert GenomeCodec(free).names == GenomeCodec(plain).names
    assert np.array_equal(*(any_genomes(GenomeCodec(each), 3, np.random.default_rng(1)) for each in (free, plain)))


@few
@given(conditioned_spaces(), st.randoms())
def test_neither_order_nor_repetition_of_patterns_counts(space, random):
    listed = [*space.expert_layers, *space.expert_layers]
    random.shuffle(listed)
    again = dataclasses.replace(space, expert_layers=tuple(listed))
    assert (again, again.digest) == (space, space.digest)


@pytest.mark.parametrize(
    ("experts", "texts", "key"),
    [
        (ExpertChoices.fixed((8, 8)), ("all",), "encoder.layers[0].expert_widths"),
        (ExpertChoices.fixed((8, 8)), ("none", "free"), "encoder.layers[0].expert_widths"),
        (ExpertChoices.fixed((8,)), ("encoder first 1", "free"), "encoder.layers[0].expert_widths"),
        (ExpertChoices(count=(1,), width=(8,)), ("every 2",), "encoder.layers[1].experts"),
        (ExpertChoices(count=(1,), width=(8,)), ("encoder last 1",), "encoder.layers[1].experts"),
    ],
)
def test_patterns_that_the_choices_cannot_make_are_refused(experts, texts, key):
    space = space_of("all")
    layer = dataclasses.replace(space.encoder.layers[0], experts=experts)
    encoder = dataclasses.replace(space.encoder, depth=(2,), layers=(layer,) * 2)
    with pytest.raises(SpaceError) as caught:
        dataclasses.replace(space, encoder=encoder, expert_layers=patterns(*texts))
    assert caught.value.key == key


def test_an_architecture_of_no_pattern_is_refused_with_its_expert_layers():
    arch = space_of("encoder first 1").largest()
    with pytest.raises(SpaceError, match="is not in the space 'patterns'") as caught:
        GenomeCodec(space_of("every 2", "none")).encode(arch)
    assert (caught.value.key, caught.value.value) == ("expert_layers", "encoder 0")
    assert caught.value.allowed == "every 2 or none"


def test_a_supernet_has_no_experts_where_no_pattern_puts_them():
    space = space_of("encoder every 2", counts=(1, 4), depth=(3,))
    assert [layer.num_experts for _, _, layer in space.envelope().layers()] == [1, 4, 1, 1]


def test_a_dense_layer_of_a_fixed_width_goes_with_patterns_that_give_it_no_experts():
    space = space_of("encoder first 1")
    fixed = DecoderLayerChoices(heads=(1,), experts=ExpertChoices.fixed((8,)))
    mixed = dataclasses.replace(space, decoder=dataclasses.replace(space.decoder, layers=(fixed,)))
    found = GenomeCodec(mixed).decode_all(Census(mixed).enumerate())
    assert {arch.decoder.layers[0].expert_widths for arch in found} == {(8,)}
    assert len(found) == space.num_architectures // 2  # the decoder has two widths there
