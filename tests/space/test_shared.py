import dataclasses

import numpy as np
import pytest

from automoe.errors import SpaceError
from automoe.space import (
    DecoderLayerChoices,
    ExpertChoices,
    ExpertLayers,
    GenomeCodec,
    LayerChoices,
    SearchSpace,
    Shared,
    SideChoices,
)


def space_of(*groups: Shared, experts: ExpertChoices | None = None, **layer) -> SearchSpace:
    experts = experts or ExpertChoices(count=(1, 2, 4), width=(8, 16))
    encoder = LayerChoices(**{"heads": (1, 2), "experts": experts, "top_k": (1, 2, 4)[: experts.count[-1]]} | layer)
    decoder = DecoderLayerChoices(heads=(1,), experts=ExpertChoices(width=(8,)), cross_layers=(1, 2))
    return SearchSpace(
        name="shared",
        encoder=SideChoices(dim=(4,), depth=(2, 3), layers=(encoder,) * 3, shared=groups),
        decoder=SideChoices(dim=(4,), depth=(1, 2), layers=(decoder,) * 2),
    )


def share(key: str, *layers: int) -> Shared:
    return Shared(key=key, layers=layers)


def test_a_shared_top_k_is_cut_in_each_layer_for_itself():
    codec = GenomeCodec(space_of(share("top_k", 0, 1, 2)))
    genome_G = codec.encode(codec.space.largest())
    for index, (experts, top_k) in enumerate(((2, 1), (4, 1), (1, 1))):
        genome_G[codec.names.index(f"encoder.layers[{index}].experts")] = experts
        genome_G[codec.names.index(f"encoder.layers[{index}].top_k")] = top_k
    genome_G[codec.names.index("encoder.layers[0].top_k")] = 4
    assert [layer.top_k for layer in codec.decode(genome_G).encoder.layers] == [2, 4, 1]


def test_a_group_is_drawn_as_one_gene():
    codec = GenomeCodec(space_of(share("heads", 0, 2), share("expert_width", 0, 1, 2)))
    archs = codec.decode_all(codec.sample(4000, np.random.default_rng(0)))
    first = [arch.encoder.layers[0].heads for arch in archs]
    assert np.mean([heads == 2 for heads in first]) == pytest.approx(0.5, abs=0.04)  # standard error 0.008
    alike = [arch.encoder.layers[0].heads == arch.encoder.layers[1].heads for arch in archs]
    assert np.mean(alike) == pytest.approx(0.5, abs=0.04)  # layer 1 is in no group
    widths = [{width for layer in arch.encoder.layers for width in layer.expert_widths} for arch in archs]
    assert np.mean([width == {16} for width in widths]) == pytest.approx(0.5, abs=0.04)


def test_a_group_mutates_and_crosses_as_one_gene():
    codec, rng = GenomeCodec(space_of(share("heads", 0, 1, 2))), np.random.default_rng(0)
    place = codec.names.index("encoder.layers[0].heads")
    genome_NG = codec.sample(4000, rng)
    changed_N = codec.mutate(genome_NG, rng, 0.4)[:, place] != genome_NG[:, place]
    assert changed_N.mean() == pytest.approx(0.4 / 2, abs=0.03)  # of two choices half the draws take the other one
    one_NG, two_NG = genome_NG[genome_NG[:, place] == 1][:1000], genome_NG[genome_NG[:, place] == 2][:1000]
    assert (codec.cross(one_NG, two_NG, rng)[:, place] == 1).mean() == pytest.approx(0.5, abs=0.08)  # error 0.016


def test_what_leads_no_other_gene_is_free_and_stands_for_its_group():
    codec = GenomeCodec(space_of(share("heads", 0, 2), share("experts", 1, 2)))
    names = [codec.names[place] for place in codec.free]
    assert "encoder.layers[0].heads" in names
    assert "encoder.layers[1].experts" in names
    for led in ("encoder.layers[2].heads", "encoder.layers[2].experts", "encoder.layers[0].expert_widths[1]"):
        assert led in codec.names
        assert led not in names
    assert "encoder.layers[0].qkv_dim" not in names  # it follows the dimension


def test_groups_that_say_nothing_change_no_digest_and_others_do():
    plain = space_of()
    for group in (share("heads", 1), share("experts"), share("qkv_dim", 0, 1)):
        if group.key == "heads":
            assert space_of(group).digest == plain.digest
        else:
            with pytest.raises(SpaceError):
                space_of(group)
    single = space_of(heads=(2,))
    assert space_of(share("heads", 0, 1), heads=(2,)).digest == single.digest
    assert space_of(share("heads", 0, 1)).digest != plain.digest
    assert space_of(share("heads", 2, 0, 1)).digest == space_of(share("heads", 0, 1, 2)).digest


@pytest.mark.parametrize(
    ("groups", "layer", "key", "message"),
    [
        ([share("dim", 0, 1)], {}, "encoder.shared", "nothing that layers can share"),
        ([share("cross_heads", 0, 1)], {}, "encoder.shared", "nothing that layers can share"),
        ([share("heads", 0, 3)], {}, "encoder.heads", "no such layer"),
        ([share("heads", -1, 0)], {}, "encoder.heads", "no such layer"),
        ([share("qkv_dim", 0, 1)], {}, "encoder.layers[0].qkv_dim", "follows another gene"),
        ([share("heads", 0, 1), share("heads", 1, 2)], {}, "encoder.layers[1].heads", "two groups"),
        (
            [share("expert_width", 0, 1)],
            {"experts": ExpertChoices(count=(1, 2), width=(8, 16), per_expert=True)},
            "encoder.layers[0].expert_width",
            "a width of its own",
        ),
        (
            [share("experts", 0, 1)],
            {"experts": ExpertChoices.fixed((8, 8))},
            "encoder.layers[0].experts",
            "single experts",
        ),
    ],
)
def test_groups_that_make_no_sense_are_refused(groups, layer, key, message):
    with pytest.raises(SpaceError, match=message) as caught:
        space_of(*groups, **layer)
    assert caught.value.key == key


def test_layers_of_different_choices_share_nothing():
    space = space_of()
    other = dataclasses.replace(space.encoder.layers[0], heads=(1, 4))
    layers = (*space.encoder.layers[:2], other)
    with pytest.raises(SpaceError, match="have not the same choices") as caught:
        dataclasses.replace(
            space, encoder=dataclasses.replace(space.encoder, layers=layers, shared=(share("heads", 0, 2),))
        )
    assert (caught.value.key, caught.value.allowed) == ("encoder.layers[2].heads", "1 or 2")


def test_an_architecture_whose_layers_do_not_agree_is_refused_by_the_shared_gene():
    free, shared = space_of(), space_of(share("heads", 0, 2))
    arch = free.largest()
    first = dataclasses.replace(arch.encoder.layers[0], heads=1)
    odd = dataclasses.replace(
        arch, encoder=dataclasses.replace(arch.encoder, layers=(first, *arch.encoder.layers[1:]))
    )
    with pytest.raises(SpaceError, match="is not in the space 'shared'") as caught:
        GenomeCodec(shared).encode(odd)
    assert (caught.value.key, caught.value.value) == ("encoder.layers[0,2].heads", [1, 2])


def test_a_pattern_leaves_the_layers_of_a_group_that_have_experts_one_number():
    space = dataclasses.replace(
        space_of(share("experts", 0, 1, 2), share("top_k", 0, 1, 2)),
        expert_layers=(ExpertLayers.parse("encoder last 2"), ExpertLayers.parse("encoder first 1")),
    )
    codec = GenomeCodec(space)
    found = {tuple(layer.num_experts for layer in arch.encoder.layers)
             for arch in codec.decode_all(codec.sample(500, np.random.default_rng(0)))}  # fmt: skip
    assert found == {(2, 2), (4, 4), (1, 2, 2), (1, 4, 4), (2, 1), (4, 1), (2, 1, 1), (4, 1, 1)}


def test_the_table_of_genes_names_what_layers_share():
    space = dataclasses.replace(space_of(share("heads", 0, 2)), expert_layers=())
    genes = {gene.name: gene for gene in space.genes()}
    assert genes["encoder.layer.heads"].shared == ((0, 2),)
    assert genes["encoder.layer.heads"].slots == 2
    assert genes["encoder.layer.experts"].slots == 3
    assert "expert_layers" not in genes
