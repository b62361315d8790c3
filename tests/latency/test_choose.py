import numpy as np
import pytest

from automoe.cost import costs
from automoe.latency import choose_architectures
from automoe.space import DecoderLayerChoices, ExpertChoices, LayerChoices, SearchSpace, SideChoices

EXPERTS = ExpertChoices(count=(1, 2, 4), width=(16, 32, 64), per_expert=True)
WIDE = SearchSpace(
    name="wide",
    encoder=SideChoices(dim=(16, 32), depth=(1, 2), layers=(LayerChoices(heads=(2,), experts=EXPERTS),) * 2),
    decoder=SideChoices(
        dim=(16, 32), depth=(1, 2, 3), layers=(DecoderLayerChoices(heads=(2,), experts=EXPERTS),) * 3
    ),
)
FEW = SearchSpace(
    name="few",
    encoder=SideChoices(dim=(16,), depth=(1,), layers=(LayerChoices(heads=(2,), experts=ExpertChoices.fixed((8,))),)),
    decoder=SideChoices(
        dim=(16,),
        depth=(1, 2),
        layers=(DecoderLayerChoices(heads=(2,), experts=ExpertChoices(count=(1, 2), width=(8, 16))),) * 2,
    ),
)


def flops(arch):
    return costs(arch, vocab_size=100, pre_norm=True).flops


def choose(space, count, seed=1):
    def sampler(number, rng):
        return [space.sample(rng) for _ in range(number)]

    return choose_architectures(sampler, space.largest(), space.smallest(), count, flops, seed)


@pytest.mark.parametrize("count", [2, 3, 17, 40])
def test_the_extremes_come_first_and_none_comes_twice(count):
    chosen = choose(WIDE, count)
    assert chosen[:2] == [WIDE.largest(), WIDE.smallest()]
    assert len(chosen) == len(set(chosen)) == count
    assert all(arch in WIDE for arch in chosen)


def test_every_decoder_depth_has_an_even_share_and_spans_its_flops():
    others = choose(WIDE, 32)[2:]
    for depth in (1, 2, 3):
        here = sorted(flops(arch) for arch in others if len(arch.decoder.layers) == depth)
        assert len(here) == 10
        rng = np.random.default_rng(99)
        every = [a for a in (WIDE.sample(rng) for _ in range(600)) if len(a.decoder.layers) == depth]
        quarters = np.quantile([flops(arch) for arch in every], [0.25, 0.5, 0.75])
        assert np.bincount(np.searchsorted(quarters, here), minlength=4).min() >= 1


def test_the_order_is_not_that_of_the_size():
    depths = [len(arch.decoder.layers) for arch in choose(WIDE, 32)[2:]]
    assert depths != sorted(depths)


def test_the_same_seed_chooses_the_same_and_another_seed_others():
    assert choose(WIDE, 12) == choose(WIDE, 12)
    assert choose(WIDE, 12) != choose(WIDE, 12, seed=2)


def test_a_small_space_is_chosen_whole():
    assert FEW.num_architectures == 20
    chosen = choose(FEW, 40)
    assert len(chosen) == len(set(chosen)) == 20


def test_a_space_of_one_architecture_gives_it_once():
    fixed = SearchSpace(
        name="one",
        encoder=FEW.encoder,
        decoder=SideChoices(
            dim=(16,), depth=(1,), layers=(DecoderLayerChoices(heads=(2,), experts=ExpertChoices.fixed((8,))),)
        ),
    )
    assert choose(fixed, 10) == [fixed.largest()]
