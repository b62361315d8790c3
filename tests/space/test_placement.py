import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.space import Placement
from tests.space.strategies import architectures, few, spaces

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@few
@given(spaces(), seeds)
def test_sampled_and_first_placements_pass_the_check(space, rng):
    arch, maximum = space.sample(rng), space.largest()
    Placement.sample(arch, maximum, rng).check(arch, maximum)
    Placement.first(arch).check(arch, maximum)


@few
@given(spaces(), seeds)
def test_placement_json_form_round_trips(space, rng):
    placement = Placement.sample(space.sample(rng), space.largest(), rng)
    assert Placement.from_dict(placement.to_dict()) == placement


@few
@given(architectures())
def test_a_placement_that_names_no_expert_fails_the_check(arch):
    first = Placement.first(arch)
    beyond = (*first.encoder[0][:-1], arch.encoder.layers[0].num_experts)
    wrong = dataclasses.replace(first, encoder=(beyond, *first.encoder[1:]))
    with pytest.raises(SpaceError, match="no such expert"):
        wrong.check(arch, arch)


@few
@given(architectures())
def test_a_placement_of_too_few_layers_fails_the_check(arch):
    wrong = dataclasses.replace(Placement.first(arch), decoder=())
    with pytest.raises(SpaceError, match="layers"):
        wrong.check(arch, arch)
