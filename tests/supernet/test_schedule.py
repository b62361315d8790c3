import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.space import (
    DecoderLayerChoices,
    ExpertChoices,
    LayerChoices,
    Placement,
    SearchSpace,
    SideChoices,
)
from automoe.supernet import SupernetConfig, Visit, panel, supernet_placement, visits
from tests.space.strategies import spaces
from tests.spaces import one_point_space, small_space

numbers = st.integers(0, 2**31 - 1)
law = settings(max_examples=40, deadline=None)
PATH = SupernetConfig(rule="single_path", distillation=0.0)


@law
@given(spaces(), st.integers(0, 3), numbers, numbers)
def test_a_step_visits_the_largest_the_smallest_and_random_ones_of_the_space(space, random, seed, update):
    visited = visits(space, SupernetConfig(random=random), seed, update)
    largest = space.largest()
    assert visited[0] == Visit(largest, Placement.first(largest))
    if space.num_architectures == 1:
        assert len(visited) == 1
        return
    assert visited[1].arch == space.smallest()
    assert len(visited) == 2 + random
    for visit in visited:
        assert visit.arch in space
        visit.placement.check(visit.arch, largest)


@law
@given(spaces(), numbers, numbers)
def test_a_single_path_visits_one_sub_transformer_of_the_space(space, seed, update):
    [visit] = visits(space, PATH, seed, update)
    assert visit.arch in space
    visit.placement.check(visit.arch, space.envelope())


def test_a_single_path_draws_every_choice_uniformly():
    side = {"dim": (8, 16), "depth": (1,)}
    layers = {"heads": (1, 2), "experts": ExpertChoices(count=(1, 2), width=(8,), per_expert=True)}
    space = SearchSpace(
        name="twenty-four",  # dimensions times heads times experts: 8 encoders, and 3 decoders below
        encoder=SideChoices(**side, layers=(LayerChoices(**layers),)),
        decoder=SideChoices(dim=(8, 12, 16), depth=(1,), layers=(DecoderLayerChoices(
            heads=(1,), experts=ExpertChoices.fixed((8,)), cross_layers=(1,)),)),
    )  # fmt: skip
    steps = 100 * space.num_architectures
    counts = Counter(visits(space, PATH, 3, update)[0].arch for update in range(steps))
    assert len(counts) == space.num_architectures == 24
    # The sum of squares has a chi-square distribution with 23 degrees of freedom: above 60 once in 40,000 seeds.
    assert sum((count - 100) ** 2 for count in counts.values()) / 100 < 60


@law
@given(spaces(), numbers, numbers, st.sampled_from(["sandwich", "single_path"]))
def test_first_placements_take_the_first_experts(space, seed, update, rule):
    config = SupernetConfig(rule=rule, placements="first", distillation=0.0)
    for visit in visits(space, config, seed, update):
        assert visit.placement == Placement.first(visit.arch)


def test_placements_have_no_part_in_which_architectures_are_visited():
    space = small_space()
    for config in (SupernetConfig(), PATH):
        of_both = [
            [visit.arch for visit in visits(space, replace(config, placements=placements), 3, 9)]
            for placements in ("fair", "first")
        ]
        assert of_both[0] == of_both[1]


@law
@given(spaces(), numbers, numbers, st.sampled_from([SupernetConfig(), PATH]))
def test_visits_depend_on_nothing_but_seed_and_update(space, seed, update, config):
    first = visits(space, config, seed, update)
    visits(space, config, seed, update + 1)
    assert visits(space, config, seed, update) == first


_PRINT_VISITS = """
from automoe.supernet import SupernetConfig, visits
from tests.spaces import small_space
print([visit.arch.digest + visit.placement.digest for visit in visits(small_space(), SupernetConfig(), 3, 9)])
"""


def test_visits_are_the_same_in_another_process():
    printed = {
        subprocess.run(
            [sys.executable, "-c", _PRINT_VISITS],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    here = visits(small_space(), SupernetConfig(), 3, 9)
    assert printed == {str([visit.arch.digest + visit.placement.digest for visit in here])}


@pytest.mark.parametrize("config", [SupernetConfig(), PATH])
def test_seeds_and_updates_draw_apart(config):
    space = small_space()
    drawn = {visits(space, config, seed, update) for seed in range(5) for update in range(20)}
    assert len(drawn) > 90  # of 100; the space has some thousand architectures


@pytest.mark.parametrize("config", [SupernetConfig(random=1), PATH])
def test_every_expert_of_a_layer_is_drawn_equally_often(config):
    space, steps = small_space(), 3000
    whole = Visit(space.largest(), Placement.first(space.largest()))
    counts: Counter = Counter()
    for update in range(steps):
        for visit in set(visits(space, config, 5, update)) - {whole}:
            for side in ("encoder", "decoder"):
                for layer, slots in enumerate(getattr(visit.placement, side)):
                    counts.update((side, layer, expert) for expert in slots)
    for side in ("encoder", "decoder"):
        for layer in (0, 1):
            of_layer = [counts[side, layer, expert] for expert in range(3)]
            mean = sum(of_layer) / 3
            # Were each expert drawn by a coin of its own, this would be more than five standard deviations.
            assert max(abs(count - mean) for count in of_layer) < 5 * mean**0.5, (side, layer, of_layer)


@law
@given(spaces(), st.integers(0, 3), numbers)
def test_the_panel_is_fixed_and_uses_the_experts_that_everything_later_uses(space, random, seed):
    config = SupernetConfig(panel=random)
    members = panel(space, config, seed)
    assert panel(space, config, seed) == members
    assert members["largest"].arch == space.largest()
    names = ["largest", "smallest", *(f"random {index + 1}" for index in range(random))]
    assert list(members) == (names[:1] if space.num_architectures == 1 else names)
    for visit in members.values():
        assert visit.arch in space
        assert visit.placement == supernet_placement(visit.arch)


def test_a_space_of_one_architecture_has_no_others():
    space = one_point_space()
    only = Visit(space.largest(), Placement.first(space.largest()))
    assert visits(space, SupernetConfig(random=3), 1, 1) == (only,)
    assert panel(space, SupernetConfig(), 1) == {"largest": only}


def test_the_room_opens_without_torch():
    code = "import sys; import automoe.supernet, automoe.distill; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
