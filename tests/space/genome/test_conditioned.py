"""What a codec does in spaces with patterns of expert layers, shared genes and constraints."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.space import Constraint, GenomeCodec, SearchSpace
from tests.space.genome.test_codec import any_genomes, rngs
from tests.space.strategies import conditioned_spaces, few, fewer, spaces
from tests.spaces import small_space


def assert_of_the_space(codec: GenomeCodec, genome_NG: np.ndarray) -> None:
    assert genome_NG.dtype == np.int64
    assert np.array_equal(codec.canonical(genome_NG), genome_NG)
    assert codec.feasible(genome_NG).all()
    some_NG = genome_NG[:20]
    for genome_G, arch in zip(some_NG, codec.decode_all(some_NG), strict=True):
        assert arch in codec.space
        assert np.array_equal(codec.encode(arch), genome_G)


def grouped_places(codec: GenomeCodec) -> list[list[int]]:
    """The places of the genes of each group of layers, but for layers that no pattern gives a choice."""
    found = []
    for side, choices in codec.space.sides.items():
        for group in choices.shared:
            key = "expert_widths[0]" if group.key == "expert_width" else group.key
            places = [codec.names.index(f"{side}.layers[{index}].{key}") for index in group.layers]
            found.append([place for place in places if codec.choices[place] != (1,)])
    return [places for places in found if places]


@few
@given(conditioned_spaces(), rngs, st.sampled_from([0.1, 0.5, 1.0]))
def test_samples_mutants_and_children_are_canonical_and_in_the_space(space, rng, probability):
    codec = GenomeCodec(space)
    a_NG, b_NG = codec.sample(30, rng), codec.sample(30, rng)
    before = a_NG.copy(), b_NG.copy()
    for genome_NG in (a_NG, codec.mutate(a_NG, rng, probability), codec.cross(a_NG, b_NG, rng)):
        assert genome_NG.shape == (30, codec.num_genes)
        assert_of_the_space(codec, genome_NG)
    assert np.array_equal((a_NG, b_NG), before)
    assert np.array_equal(codec.cross(a_NG, a_NG, rng), a_NG)
    assert np.array_equal(codec.mutate(a_NG, rng, 0.0), a_NG)


@few
@given(conditioned_spaces(constraints=False), rngs)
def test_any_choices_are_repaired_to_an_architecture_of_the_space_and_repaired_once_for_all(space, rng):
    codec = GenomeCodec(space)
    repaired_NG = codec.canonical(any_genomes(codec, 60, rng))
    assert_of_the_space(codec, repaired_NG)


@few
@given(conditioned_spaces(constraints=False), rngs)
def test_genomes_mean_equal_architectures_exactly_if_their_canonical_forms_and_hashes_are_equal(space, rng):
    codec = GenomeCodec(space)
    any_NG = any_genomes(codec, 200, rng)
    canonical_NG, archs, hashes_N = codec.canonical(any_NG), codec.decode_all(any_NG), codec.hashes(any_NG)
    assert hashes_N.dtype == np.uint64
    by_arch: dict = {}
    for arch, genome_G, number in zip(archs, canonical_NG, hashes_N.tolist(), strict=True):
        assert by_arch.setdefault(arch, (genome_G.tobytes(), number)) == (genome_G.tobytes(), number)
    assert len(by_arch) == len(np.unique(canonical_NG, axis=0)) == len(np.unique(hashes_N))


@few
@given(conditioned_spaces(constraints=False), rngs)
def test_what_stands_at_places_that_are_not_free_counts_for_nothing(space, rng):
    codec = GenomeCodec(space)
    own_NG = codec.sample(60, rng)
    first_G = np.array([choices[0] for choices in codec.choices])
    free_NG = np.where(own_NG == 0, first_G, own_NG)
    for places in grouped_places(codec):  # what a search knows of a group is its one value
        free_NG[:, places] = free_NG[:, places].max(axis=1, keepdims=True)
    led_NG = np.repeat(first_G[None], 60, axis=0)
    led_NG[:, codec.free] = free_NG[:, codec.free]
    assert np.array_equal(codec.canonical(led_NG), own_NG)


@fewer
@given(conditioned_spaces(constraints=False).filter(lambda space: space.num_architectures <= 200))
def test_steps_of_one_gene_reach_every_architecture_of_a_space_without_constraints(space):
    codec = GenomeCodec(space)
    start_G = codec.sample(1, np.random.default_rng(0))[0]
    found, fringe = {start_G.tobytes()}, [start_G]
    while fringe:
        for genome_G in codec.neighbours(fringe.pop()):
            if genome_G.tobytes() not in found:
                found.add(genome_G.tobytes())
                fringe.append(genome_G)
    assert len(found) == space.num_architectures


@fewer
@given(conditioned_spaces(), rngs)
def test_neighbours_are_others_of_the_space_each_of_them_once(space, rng):
    codec = GenomeCodec(space)
    genome_G = codec.sample(1, rng)[0]
    near_NG = codec.neighbours(genome_G)
    assert_of_the_space(codec, near_NG)
    assert len(np.unique(near_NG, axis=0)) == len(near_NG)
    assert not (near_NG == genome_G).all(axis=1).any()
    one_by_one = [codec.neighbours(genome_G, places=(place,)) for place in codec.free]
    assert {row.tobytes() for rows in one_by_one for row in rows} == {row.tobytes() for row in near_NG}


@few
@given(spaces(), rngs)
def test_what_a_neighbour_adds_is_as_small_as_can_be(space, rng):
    codec = GenomeCodec(space)
    genome_G = codec.sample(1, rng)[0]
    least_G = np.array([choices[0] for choices in codec.choices])
    for near_G in codec.neighbours(genome_G, places=[codec.names.index("encoder.layers")]):
        added_G = (genome_G == 0) & (near_G != 0)
        assert (near_G[added_G] == least_G[added_G]).all()


_PRINT_HASHES = """
import numpy as np
from automoe.space import GenomeCodec
from tests.spaces import small_space
codec = GenomeCodec(small_space())
print(codec.hashes(codec.sample(5, np.random.default_rng(0))).tolist())
"""


def test_hashes_are_the_same_in_another_process():
    codec = GenomeCodec(small_space())
    printed = subprocess.run(
        [sys.executable, "-c", _PRINT_HASHES],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert printed == str(codec.hashes(codec.sample(5, np.random.default_rng(0))).tolist())


def test_different_architectures_have_different_hashes():
    codec = GenomeCodec(small_space())
    genome_NG = np.unique(codec.sample(20_000, np.random.default_rng(0)), axis=0)
    assert len(np.unique(codec.hashes(genome_NG))) == len(genome_NG) > 10_000


@few
@given(conditioned_spaces(), rngs)
def test_many_genomes_are_decoded_as_each_alone(space, rng):
    codec = GenomeCodec(space)
    genome_NG = codec.sample(10, rng)
    assert codec.decode_all(genome_NG) == [codec.decode(genome_G) for genome_G in genome_NG]
    assert codec.decode_all(genome_NG[:0]) == []


def test_rare_architectures_are_found_by_drawing_on():
    space = SearchSpace.from_dict(
        small_space().to_dict()
        | {
            "constraints": [
                "encoder.layer.heads == 2 and encoder.layer.experts == 3 and encoder.layers == 2",
                "decoder.layer.heads == 1 and decoder.layers == 2",
            ]
        }
    )
    codec = GenomeCodec(space)
    genome_NG = codec.sample(50, np.random.default_rng(0))  # of 576 draws one meets them
    assert len(genome_NG) == 50
    assert_of_the_space(codec, genome_NG)
    assert space.constraints[0] == Constraint.parse(space.constraints[0].text)


def test_what_is_given_to_neighbours_must_be_a_genome():
    codec = GenomeCodec(small_space())
    with pytest.raises(SpaceError, match="whole numbers"):
        codec.neighbours(np.zeros(3, dtype=np.int64))
