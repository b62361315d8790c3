import dataclasses
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.space import (
    DecoderLayerChoices,
    ExpertChoices,
    GenomeCodec,
    LayerChoices,
    SearchSpace,
    SideChoices,
    find_space,
    read_space,
)
from automoe.space.census.census import Census
from automoe.space.census.conflicts import conflicts_of
from automoe.space.constraints import Constraint
from automoe.space.expert_layers import ExpertLayers
from automoe.space.genes import Shared
from tests.space.brute_force import arch_of, brute_force, expert_set, genome_of, members, strangers
from tests.space.census.small_spaces import small_spaces

some = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
"""Most of the time goes into brute force."""


def automoe_space(
    num_experts: int,
    *,
    per_expert: bool = False,
    constraints: tuple[str, ...] = (),
    patterns: tuple[str, ...] = (),
    shared: tuple[Shared, ...] = (),
) -> SearchSpace:
    """AutoMoE's WMT space; with one expert it is HAT's."""
    experts = ExpertChoices(count=tuple(range(1, num_experts + 1)), width=(1024, 2048, 3072), per_expert=per_expert)
    choices = {"heads": (4, 8), "qkv_dim": (512,), "experts": experts}
    decoder = DecoderLayerChoices(**choices, cross_heads=(4, 8), cross_layers=(1, 2, 3))
    return SearchSpace(
        name="automoe",
        encoder=SideChoices(dim=(512, 640), depth=(6,), layers=(LayerChoices(**choices),) * 6),
        decoder=SideChoices(dim=(512, 640), depth=(1, 2, 3, 4, 5, 6), layers=(decoder,) * 6, shared=shared),
        constraints=tuple(map(Constraint.parse, constraints)),
        expert_layers=tuple(map(ExpertLayers.parse, patterns)),
    )


@some
@given(small_spaces())
def test_numbers_and_enumeration_are_those_of_brute_force(space):
    num_raw, models = brute_force(space)
    census, names = Census(space), GenomeCodec(space).names
    assert census.num_raw == num_raw
    assert census.num_architectures == len(models)
    assert census.is_empty == (not models)
    assert census.num_expert_placements == len(set(map(expert_set, models)))
    listed_NG = census.enumerate()
    assert list(map(tuple, listed_NG.tolist())) == sorted(genome_of(space, model, names) for model in models)
    assert set(GenomeCodec(space).decode_all(listed_NG)) == set(map(arch_of, models))


@some
@given(small_spaces(), st.integers(0, 2**32 - 1))
def test_what_is_listed_and_sampled_is_canonical_and_in_the_space(space, seed):
    census, codec = Census(space), GenomeCodec(space)
    assume(not census.is_empty)
    genome_NG = census.enumerate()
    np.testing.assert_array_equal(codec.canonical(genome_NG), genome_NG)
    assert codec.feasible(genome_NG).all()
    assert all(codec.decode(genome_G) in space for genome_G in genome_NG[:10])
    sampled = census.sample(50, np.random.default_rng(seed))
    assert set(map(tuple, sampled.tolist())) <= set(map(tuple, genome_NG.tolist()))
    np.testing.assert_array_equal(sampled, Census(space).sample(50, np.random.default_rng(seed)))


@some
@given(small_spaces())
def test_constraints_to_blame_leave_nothing_and_none_of_them_can_be_spared(space):
    def is_empty(*constraints: Constraint) -> bool:
        return not brute_force(dataclasses.replace(space, constraints=constraints))[1]

    conflicts = conflicts_of(space)
    assert bool(conflicts) == is_empty(*space.constraints)
    for blamed in conflicts:
        assert is_empty(*blamed)
        assert not any(is_empty(*(other for other in blamed if other != spared)) for spared in blamed)


@settings(some, max_examples=10)
@given(small_spaces())
def test_what_is_in_a_space_meets_its_conditions_and_nothing_else_does(space):
    found, codec = members(space), GenomeCodec(space)
    assert all(arch in space for arch in found)
    assert not any(arch in space for arch in strangers(space))
    if not found:
        return
    rng = np.random.default_rng(0)
    sampled_NG = codec.sample(100, rng)
    assert set(codec.decode_all(sampled_NG)) <= found
    assert set(codec.decode_all(codec.mutate(sampled_NG, rng, 0.3))) <= found
    assert set(codec.decode_all(codec.cross(sampled_NG, sampled_NG[::-1], rng))) <= found
    assert {space.largest(), space.smallest(), space.sample(rng)} <= found
    assert (space.largest() == space.smallest()) == (len(found) == 1)
    assert all(space.floor().fits(arch) and arch.fits(space.envelope()) for arch in found)
    fresh = GenomeCodec(space)
    assert {codec.decode(fresh.encode(arch)) for arch in found} == found


def test_layers_that_share_top_k_and_another_gene_are_all_counted():
    experts = ExpertChoices(count=(1, 2), width=(8,))
    encoder = LayerChoices(heads=(1,), experts=experts, top_k=(1, 2))
    decoder = DecoderLayerChoices(heads=(1,), experts=ExpertChoices(count=(1,), width=(8,)))
    space = SearchSpace(
        name="shared",
        encoder=SideChoices(dim=(4,), depth=(3,), layers=(encoder,) * 3,
                            shared=(Shared(key="experts", layers=(1, 2)), Shared(key="top_k", layers=(0, 1, 2)))),
        decoder=SideChoices(dim=(4,), depth=(1,), layers=(decoder,)),
    )  # fmt: skip
    # Experts 1 1 1 leave top_k no choice; 2 1 1, 1 2 2 and 2 2 2 leave it two values.
    assert Census(space).num_architectures == len(members(space)) == 7


def test_layers_can_be_held_against_totals_of_many_values_up_to_a_limit():
    condition = "encoder.layer.experts * 4 <= encoder.experts + decoder.experts"
    some_meet_it = Census(automoe_space(3, constraints=(condition,))).num_architectures
    assert 0 < some_meet_it < Census(automoe_space(3)).num_architectures
    all_totals = f"{condition} + encoder.expert_layers * decoder.expert_layers"
    with pytest.raises(SpaceError, match="too many to count") as caught:
        _ = Census(automoe_space(16, constraints=(all_totals,))).num_architectures
    assert "Speak of fewer totals" in caught.value.hint


def test_a_space_that_is_not_empty_is_known_to_be_so_without_counting(monkeypatch):
    space = automoe_space(16, per_expert=True, constraints=("decoder.layer.experts <= encoder.experts",))
    monkeypatch.setattr("automoe.space.census.conflicts.cells_of", None)
    assert not Census(space).is_empty


EXPERTS = ExpertChoices(count=(1, 2, 3), width=(8, 16), per_expert=True)
ONE_WIDTH = dataclasses.replace(EXPERTS, per_expert=False)


def space_of(experts: ExpertChoices, constraints=(), patterns=(), shared=(), top_k=(1,)) -> SearchSpace:
    """Deeper models and more experts are far more numerous here than their genes' choices."""
    decoder = DecoderLayerChoices(heads=(1,), experts=ExpertChoices(count=(1, 2), width=(8,)), cross_layers=(1, 2))
    layer = LayerChoices(heads=(1, 2), experts=experts, top_k=top_k)
    return SearchSpace(
        name="small",
        encoder=SideChoices(dim=(4,), depth=(1, 2), layers=(layer,) * 2, shared=shared),
        decoder=SideChoices(dim=(4, 8), depth=(1,), layers=(decoder,)),
        constraints=tuple(map(Constraint.parse, constraints)),
        expert_layers=tuple(map(ExpertLayers.parse, patterns)),
    )


@pytest.mark.parametrize(
    "space",
    [
        space_of(EXPERTS),
        space_of(EXPERTS, constraints=("encoder.experts + decoder.experts <= 5",)),
        space_of(EXPERTS, constraints=("encoder.layer.expert_width <= 8 * encoder.layer.heads",)),
        space_of(
            ONE_WIDTH, shared=(Shared(key="top_k", layers=(0, 1)), Shared(key="heads", layers=(0, 1))), top_k=(1, 3)
        ),
        space_of(EXPERTS, patterns=("every 2", "last 1", "decoder")),
        space_of(EXPERTS, patterns=("encoder", "free"), shared=(Shared(key="experts", layers=(0, 1)),)),
    ],
    ids=("free", "totals", "widths", "shared", "patterns", "free pattern"),
)
def test_samples_are_uniform_over_architectures(space):
    census, per_cell = Census(space), 40
    num = census.num_architectures
    sampled = census.sample(per_cell * num, np.random.default_rng(3))
    found, counts = np.unique(sampled, axis=0, return_counts=True)
    np.testing.assert_array_equal(found, census.enumerate())
    chi_square = float(((counts - per_cell) ** 2 / per_cell).sum())
    assert abs(chi_square - (num - 1)) < 4 * math.sqrt(2 * (num - 1))  # 4 standard deviations, either way


def test_the_published_sizes_of_hat_and_of_automoe():
    assert Census(automoe_space(1)).num_raw == 417846678672384
    assert Census(automoe_space(6)).num_raw == 4 * 3**6 * 2**6 * 6**6 * sum(216**depth for depth in range(1, 7))


def test_the_size_of_automoes_fractional_space_is_the_product_written_out():
    experts = sum(math.comb(3 + count - 1, count) for count in range(1, 17))
    encoders, decoder_layer = 2 * (2 * experts) ** 6, 2 * 2 * 3 * experts
    decoders = 2 * sum(decoder_layer**depth for depth in range(1, 7))
    assert Census(automoe_space(16, per_expert=True)).num_architectures == encoders * decoders


def test_in_a_large_space_complementary_constraints_divide_the_architectures():
    whole = Census(automoe_space(16, per_expert=True)).num_architectures
    for constraint in (
        "decoder.experts + encoder.expert_layers <= encoder.experts",
        "encoder.layers * decoder.dim <= 640 * decoder.layers",
        "encoder.experts // decoder.layers % 3 == 1",
    ):
        parts = [(constraint,), (f"not {constraint}",)]
        numbers = [Census(automoe_space(16, per_expert=True, constraints=part)).num_architectures for part in parts]
        assert sum(numbers) == whole
        assert all(numbers)


def test_a_pattern_divides_an_arrangement_off_the_free_space():
    # Every second layer has 2 to 6 experts of one width: 5 * 3 ways; the others have one: 3 ways.
    census = Census(automoe_space(6, patterns=("every 2",)))
    decoders = sum((3 * 12) ** (depth - depth // 2) * (5 * 3 * 12) ** (depth // 2) for depth in range(1, 7))
    assert census.num_architectures == 2 * 2**6 * 3**3 * (5 * 3) ** 3 * 2 * decoders
    assert census.num_expert_placements == 4  # up to 0, 1, 2 or 3 expert layers in the decoder
    assert Census(automoe_space(6, patterns=("every 2", "free"))).num_raw == Census(automoe_space(6)).num_raw


def test_sets_of_expert_layers_of_deep_models_are_counted_too():
    layer = LayerChoices(heads=(1,), experts=ExpertChoices(count=(1, 2), width=(8,)))
    decoder = DecoderLayerChoices(heads=(1,), experts=layer.experts)
    space = SearchSpace(
        name="deep",
        encoder=SideChoices(dim=(4,), depth=(20, 60), layers=(layer,) * 60),
        decoder=SideChoices(dim=(4,), depth=(40,), layers=(decoder,) * 40),
        constraints=(Constraint.parse("decoder.expert_layers == 1 and encoder.expert_layers <= 1"),),
    )
    assert Census(dataclasses.replace(space, constraints=())).num_expert_placements == 2**100
    assert Census(space).num_expert_placements == 40 * 61


def test_a_shared_gene_multiplies_once():
    shared = (Shared(key="heads", layers=(0, 1, 2, 3, 4, 5)),)
    assert Census(automoe_space(1, shared=shared)).num_raw == 4 * 3**6 * 2**6 * 2 * sum(18**n for n in range(1, 7))


def test_too_many_to_list_is_said_with_their_number():
    with pytest.raises(SpaceError, match="too many") as caught:
        Census(automoe_space(1)).enumerate()
    assert caught.value.value == 417846678672384
    assert "1000000" in str(caught.value)


def test_a_space_without_architectures_is_listed_empty_and_refuses_to_be_sampled():
    contradiction = ("encoder.experts >= 2", "decoder.experts > encoder.experts")
    census = Census(space_of(EXPERTS, constraints=contradiction))
    assert census.is_empty
    assert census.enumerate().shape == (0, len(GenomeCodec(census.space).names))
    assert census.num_expert_placements == 0
    assert conflicts_of(census.space) == (census.space.constraints,)
    with pytest.raises(SpaceError, match="meets all of them"):
        census.sample(1, np.random.default_rng(0))
    alone = Census(space_of(EXPERTS, constraints=("encoder.dim > 4", "decoder.dim == 8")))
    assert conflicts_of(alone.space) == (alone.space.constraints[:1],)
    with pytest.raises(SpaceError, match=r"encoder\.dim > 4"):
        alone.sample(1, np.random.default_rng(0))


def test_what_is_shipped_is_counted_and_sampled():
    census = Census(read_space(find_space("quickstart")))
    genome_NG = census.sample(1000, np.random.default_rng(0))
    codec = GenomeCodec(census.space)
    np.testing.assert_array_equal(codec.canonical(genome_NG), genome_NG)
    depth_N = genome_NG[:, codec.names.index("decoder.layers")]
    assert np.mean(depth_N == 3) > 0.95  # nearly all architectures are as deep as can be
