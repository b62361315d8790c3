import dataclasses

import numpy as np
import pytest

from automoe.errors import SpaceError
from automoe.space import GenomeCodec
from automoe.space.census import survey as survey_module
from automoe.space.census.census import Census
from automoe.space.census.survey import Share, Survey
from automoe.space.constraints import Constraint
from tests.spaces import small_space

SPACE = small_space(experts=(1,))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def num_genes_on(genome_NG: np.ndarray) -> np.ndarray:
    """A cost with many ties."""
    return (genome_NG > 0).sum(axis=1)


def is_deep(genome_NG: np.ndarray) -> np.ndarray:
    codec = GenomeCodec(SPACE)
    return genome_NG[:, codec.names.index("encoder.layers")] == 2


@pytest.fixture
def samples_only(monkeypatch):
    """Makes every space too large to be listed."""
    monkeypatch.setattr(survey_module, "MOST_LISTED", 0)


def test_a_small_space_is_listed_and_its_shares_are_exact():
    genome_NG = Census(SPACE).enumerate()
    value = is_deep(genome_NG).mean()
    assert Survey.of(SPACE, rng()).share(is_deep) == Share(value=value, lower=value, upper=value, exact=True)


def test_of_a_large_space_the_interval_holds_the_exact_share(samples_only):
    exact = is_deep(Census(SPACE).enumerate()).mean()
    share = Survey.of(SPACE, rng()).share(is_deep)
    assert not share.exact
    assert share.lower < exact < share.upper
    assert 0 < share.upper - share.lower < 0.01


def test_a_share_of_nothing_seen_has_an_upper_bound_above_nothing(samples_only):
    none = Survey.of(SPACE, rng()).share(lambda genome_NG: np.zeros(len(genome_NG), dtype=bool))
    assert (none.value, none.lower) == (0, 0)
    assert 0 < none.upper < 1e-4
    every = Survey.of(SPACE, rng()).share(lambda genome_NG: np.ones(len(genome_NG), dtype=bool))
    assert (every.value, every.upper) == (1, 1)
    assert 1 - 1e-4 < every.lower < 1


def test_the_median_has_half_of_the_architectures_on_either_side():
    survey = Survey.of(SPACE, rng())
    cost_N = num_genes_on(survey.genome_NG)
    median = num_genes_on(survey.median(num_genes_on)[None])[0]
    assert (cost_N < median).mean() < 0.5 <= (cost_N <= median).mean()


def test_the_cheapest_and_the_dearest_bound_all():
    survey = Survey.of(SPACE, rng())
    cost_N = num_genes_on(survey.genome_NG)
    assert num_genes_on(survey.cheapest(num_genes_on)[None]) == cost_N.min()
    assert num_genes_on(survey.dearest(num_genes_on)[None]) == cost_N.max()


def test_samples_are_joined_by_the_smallest_and_the_largest(samples_only, monkeypatch):
    monkeypatch.setattr(survey_module, "NUM_SAMPLES", 3)
    space = SPACE
    survey, codec = Survey.of(space, rng()), GenomeCodec(space)
    assert len(survey.genome_NG) == 3
    np.testing.assert_array_equal(survey.cheapest(num_genes_on), codec.encode(space.smallest()))
    np.testing.assert_array_equal(survey.dearest(num_genes_on), codec.encode(space.largest()))


def test_an_empty_space_cannot_be_surveyed():
    space = dataclasses.replace(SPACE, constraints=(Constraint.parse("encoder.dim > 99"),))
    with pytest.raises(SpaceError, match=r"encoder\.dim > 99"):
        Survey.of(space, rng())
