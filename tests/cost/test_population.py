"""Costs of many architectures at once are those of each alone."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.cost import costs, population_costs
from automoe.errors import ConfigError, SpaceError
from automoe.resources import resource_folder
from automoe.space import GenomeCodec, find_space, read_space
from tests.space.genome.test_codec import any_genomes, uneven_spaces
from tests.space.strategies import few

rngs = st.integers(0, 2**32 - 1).map(np.random.default_rng)
tokens = st.integers(1, 60)


def assert_costs_of_each_alone(codec: GenomeCodec, genome_NG: np.ndarray, **given: int) -> None:
    with np.errstate(all="raise"):  # absent layers divide nothing by 0
        population = population_costs(codec, genome_NG, **given)
    assert all(cost_N.dtype == np.int64 and cost_N.shape == (len(genome_NG),) for cost_N in population.values())
    for row, genome_G in enumerate(genome_NG):
        alone = costs(codec.decode(genome_G), **given).to_dict()
        assert {name: int(cost_N[row]) for name, cost_N in population.items()} == alone


@few
@given(uneven_spaces(), rngs, st.integers(1, 50_000), st.booleans(), tokens, tokens)
def test_costs_of_a_population_are_to_the_last_unit_those_of_each_alone(space, rng, vocab, pre_norm, source, target):
    codec = GenomeCodec(space)
    extremes = [codec.encode(space.largest()), codec.encode(space.smallest())]
    genome_NG = np.concatenate([extremes, codec.sample(20, rng)])
    assert_costs_of_each_alone(
        codec, genome_NG, vocab_size=vocab, pre_norm=pre_norm, source_tokens=source, target_tokens=target
    )


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize(
    "path",
    sorted(resource_folder("search_spaces").rglob("*.yaml")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_costs_of_every_shipped_file_are_those_of_each_alone(path, pre_norm):
    codec = GenomeCodec(read_space(path))
    assert_costs_of_each_alone(codec, codec.sample(100, np.random.default_rng(0)), vocab_size=4000, pre_norm=pre_norm)


def test_large_sizes_do_not_overflow():
    space = read_space(find_space("tiny"))
    sides = {side: dataclasses.replace(getattr(space, side), dim=(8192, 16384)) for side in ("encoder", "decoder")}
    codec = GenomeCodec(dataclasses.replace(space, **sides))
    genome_NG = codec.sample(20, np.random.default_rng(0))
    assert_costs_of_each_alone(
        codec, genome_NG, vocab_size=10**6, pre_norm=True, source_tokens=10**4, target_tokens=10**4
    )


@few
@given(uneven_spaces(), rngs)
def test_genomes_cost_what_their_canonical_form_costs(space, rng):
    codec = GenomeCodec(space)
    any_NG = any_genomes(codec, 20, rng)
    found = population_costs(codec, any_NG, vocab_size=100, pre_norm=True)
    expected = population_costs(codec, codec.canonical(any_NG), vocab_size=100, pre_norm=True)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_nobody_costs_nothing():
    codec = GenomeCodec(read_space(find_space("tiny")))
    population = population_costs(codec, codec.sample(0, np.random.default_rng(0)), vocab_size=100, pre_norm=True)
    assert {cost_N.shape for cost_N in population.values()} == {(0,)}


@pytest.mark.parametrize("key", ["vocab_size", "source_tokens", "target_tokens"])
def test_sizes_below_one_are_refused(key):
    codec = GenomeCodec(read_space(find_space("tiny")))
    genome_NG = codec.sample(2, np.random.default_rng(0))
    with pytest.raises(ConfigError) as caught:
        population_costs(codec, genome_NG, **({"vocab_size": 10, "pre_norm": True} | {key: 0}))
    assert caught.value.key == key


def test_genomes_of_another_space_are_refused():
    codec, other = (GenomeCodec(read_space(find_space(name))) for name in ("tiny", "quickstart"))
    with pytest.raises(SpaceError, match="a genome of the space 'tiny'"):
        population_costs(codec, other.sample(2, np.random.default_rng(0)), vocab_size=100, pre_norm=True)
