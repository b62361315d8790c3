import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from automoe.search.optuna_genes import GeneParameters, quiet
from automoe.space import Census, GenomeCodec, find_space, read_space
from tests.space.census.small_spaces import small_spaces
from tests.space.strategies import few

ordered = pytest.mark.parametrize("ordered", [False, True])


@ordered
@few
@given(space=small_spaces())
def test_parameters_hold_the_whole_genome(ordered, space):
    codec, census = GenomeCodec(space), Census(space)
    assume(not census.is_empty)
    parameters = GeneParameters(codec, ordered=ordered)
    genome_NG = census.enumerate()
    again_NG = parameters.genomes_of(parameters.params_of(genome_NG))
    np.testing.assert_array_equal(codec.canonical(again_NG), genome_NG)


@few
@given(space=small_spaces(), seed=st.integers(0, 99))
def test_every_combination_of_choices_is_a_genome(space, seed):
    codec = GenomeCodec(space)
    parameters = GeneParameters(codec)
    rng = np.random.default_rng(seed)
    index_NF = rng.integers(0, np.array(parameters.num_choices), size=(20, len(parameters.names)))
    genome_NG = codec.canonical(parameters.genomes_at(index_NF))
    assert genome_NG.shape == (20, codec.num_genes)
    assert all(arch in space for arch in codec.decode_all(genome_NG[codec.feasible(genome_NG)]))


@ordered
def test_parameters_lie_in_their_distributions(ordered):
    pytest.importorskip("optuna")
    codec = GenomeCodec(read_space(find_space("quickstart")))
    parameters = GeneParameters(codec, ordered=ordered)
    distributions = parameters.distributions()
    for params in parameters.params_of(codec.sample(50, np.random.default_rng(0))):
        assert params.keys() == distributions.keys() == set(parameters.names)
        for name, value in params.items():
            assert distributions[name]._contains(distributions[name].to_internal_repr(value))


def test_genes_without_a_choice_are_no_parameters():
    codec = GenomeCodec(read_space(find_space("tiny")))
    assert not any(name.endswith("heads") for name in GeneParameters(codec).names)


def test_quiet_ends_with_its_block():
    optuna = pytest.importorskip("optuna")
    before = optuna.logging.get_verbosity()
    with pytest.raises(KeyError), quiet():
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR
        raise KeyError
    assert optuna.logging.get_verbosity() == before
