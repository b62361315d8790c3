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
@given(spaces(), seeds)
def test_digests_are_equal_only_for_equal_placements(space, rng):
    arch, maximum = space.sample(rng), space.largest()
    one, other = (Placement.sample(arch, maximum, rng) for _ in range(2))
    assert (one.digest == other.digest) == (one == other)
    assert Placement.from_dict(one.to_dict()).digest == one.digest


@few
@given(architectures())
def test_the_table_has_a_line_for_each_layer(arch):
    assert len(str(Placement.first(arch)).splitlines()) == 1 + len(arch.encoder.layers) + len(arch.decoder.layers)


def test_the_table_shows_the_expert_of_each_slot():
    lines = str(Placement(encoder=((0,), (2, 0, 1)), decoder=((1, 0),))).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["encoder", "0", "0"], ["encoder", "1", "2", "0", "1"], ["decoder", "0", "1", "0"]
    ]  # fmt: skip


@pytest.mark.parametrize("expert", [-1, True, 1.0, "0"])
def test_what_is_no_index_of_an_expert_is_refused_by_its_place(expert):
    with pytest.raises(SpaceError, match="not the index") as caught:
        Placement(encoder=((0,), (0, expert)), decoder=((0,),))
    assert caught.value.key == "placement.encoder[1][1]"


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
