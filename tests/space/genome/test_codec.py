import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.resources import resource_folder
from automoe.space import (
    Architecture,
    DecoderArch,
    DecoderLayerArch,
    DecoderLayerChoices,
    EncoderArch,
    EncoderLayerArch,
    ExpertChoices,
    GenomeCodec,
    LayerChoices,
    SearchSpace,
    SideChoices,
    find_architecture,
    find_space,
    read_architecture,
    read_space,
)
from tests.space.strategies import few, fewer, spaces
from tests.space.test_search_space import enumerate_space, places, with_size

seeds = st.integers(0, 2**32 - 1)
rngs = seeds.map(np.random.default_rng)
SHIPPED = sorted(resource_folder("search_spaces").glob("*.yaml"))


@st.composite
def uneven_spaces(draw) -> SearchSpace:
    """Spaces whose `top_k` and `cross_layers` leave numbers out; some list layers beyond the deepest model."""

    def some(choices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.sampled_from(choices), min_size=1, unique=True)))

    def uneven(side: SideChoices) -> SideChoices:
        layers = tuple(dataclasses.replace(layer, top_k=some(layer.top_k)) for layer in side.layers)
        if isinstance(layers[0], DecoderLayerChoices):
            layers = tuple(dataclasses.replace(layer, cross_layers=some(layer.cross_layers)) for layer in layers)
        return dataclasses.replace(side, layers=layers * draw(st.integers(1, 2)))

    space = draw(spaces())
    return dataclasses.replace(space, encoder=uneven(space.encoder), decoder=uneven(space.decoder))


def any_genomes(codec: GenomeCodec, num: int, rng: np.random.Generator) -> np.ndarray:
    """Every gene is drawn for itself, whatever the others are."""
    return np.stack([rng.choice(choices, size=num) for choices in codec.choices], axis=1)


def build_by_name(space: SearchSpace, genes: dict[str, int]) -> Architecture:
    """The architecture that named genes mean, built one size at a time."""
    encoder_depth = genes["encoder.layers"]

    def layer(side: str, index: int) -> EncoderLayerArch:
        label, dim = f"{side}.layers[{index}]", genes[f"{side}.dim"]
        experts = getattr(space, side).layers[index].experts
        widths = [genes[f"{label}.expert_widths[{expert}]"] for expert in range(genes[f"{label}.experts"])]
        if experts.widths is None and not experts.per_expert:
            widths = widths[:1] * len(widths)
        sizes = {
            "heads": genes[f"{label}.heads"],
            "qkv_dim": genes[f"{label}.qkv_dim"] or dim,
            "expert_widths": tuple(widths),
            "top_k": min(genes[f"{label}.top_k"], len(widths)),
        }
        if side == "encoder":
            return EncoderLayerArch(**sizes)
        return DecoderLayerArch(
            **sizes,
            cross_heads=genes[f"{label}.cross_heads"] or sizes["heads"],
            cross_qkv_dim=genes[f"{label}.cross_qkv_dim"] or sizes["qkv_dim"],
            cross_layers=min(genes[f"{label}.cross_layers"], encoder_depth),
        )

    def layers(side: str) -> tuple:
        return tuple(layer(side, index) for index in range(genes[f"{side}.layers"]))

    return Architecture(
        encoder=EncoderArch(dim=genes["encoder.dim"], layers=layers("encoder")),
        decoder=DecoderArch(dim=genes["decoder.dim"], layers=layers("decoder")),
    )


def assert_canonical(codec: GenomeCodec, genome_NG: np.ndarray) -> None:
    assert genome_NG.dtype == np.int64
    assert genome_NG.shape[1] == codec.num_genes
    assert np.array_equal(codec.canonical(genome_NG), genome_NG)
    for genome_G in genome_NG[:20]:
        arch = codec.decode(genome_G)
        assert arch in codec.space
        assert np.array_equal(codec.encode(arch), genome_G)


@fewer
@given(uneven_spaces().filter(lambda space: space.num_raw <= 1000))
def test_every_architecture_of_a_space_has_its_own_genome(space):
    codec = GenomeCodec(space)
    for arch in enumerate_space(space)[1]:
        assert codec.decode(codec.encode(arch)) == arch


@few
@given(uneven_spaces(), rngs)
def test_samples_are_canonical_genomes_of_the_space(space, rng):
    codec = GenomeCodec(space)
    assert_canonical(codec, codec.sample(50, rng))
    assert codec.sample(0, rng).shape == (0, codec.num_genes)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_space_has_canonical_genomes(path):
    codec = GenomeCodec(read_space(path))
    assert_canonical(codec, codec.sample(50, np.random.default_rng(0)))
    for arch in (codec.space.largest(), codec.space.smallest()):
        assert codec.decode(codec.encode(arch)) == arch


@few
@given(uneven_spaces(), rngs)
def test_any_choices_are_repaired_to_the_architecture_that_their_names_say(space, rng):
    codec = GenomeCodec(space)
    any_NG = any_genomes(codec, 30, rng)
    repaired_NG = codec.canonical(any_NG)
    assert_canonical(codec, repaired_NG)
    for any_G, repaired_G in zip(any_NG.tolist(), repaired_NG, strict=True):
        arch = build_by_name(space, dict(zip(codec.names, any_G, strict=True)))
        assert codec.decode(any_G) == codec.decode(repaired_G) == arch


@few
@given(uneven_spaces())
def test_every_gene_has_a_name_of_its_own(space):
    codec = GenomeCodec(space)
    assert len(set(codec.names)) == len(codec.names) == len(codec.choices) == codec.num_genes


def cut_space() -> SearchSpace:
    """Where the number of experts cuts `top_k`, and the encoder's depth `cross_layers`."""
    experts = ExpertChoices(count=(1, 2, 4), width=(8, 16), per_expert=True)
    encoder = LayerChoices(heads=(1, 2), experts=experts, top_k=(1, 2, 3, 4))
    decoder = DecoderLayerChoices(heads=(1, 2), experts=ExpertChoices.fixed((8,)), cross_layers=(1, 2, 3))
    return SearchSpace(
        name="cut",
        encoder=SideChoices(dim=(4, 8), depth=(1, 2, 3), layers=(encoder,) * 3),
        decoder=SideChoices(dim=(4,), depth=(1, 2), layers=(decoder,) * 2),
    )


def frequencies(archs: list[Architecture]) -> Counter:
    """How often the first layers of both sides have which sizes, as a share."""
    found: Counter = Counter()
    for arch in archs:
        layer, cross = arch.encoder.layers[0], arch.decoder.layers[0].cross_layers
        found.update([("widths", layer.expert_widths), ("top", layer.num_experts, layer.top_k)])
        found.update([("cross", len(arch.encoder.layers), cross), ("dim", arch.encoder.dim)])
    return Counter({key: count / len(archs) for key, count in found.items()})


def test_genomes_are_drawn_as_often_as_the_space_draws_their_architectures():
    space, rng = cut_space(), np.random.default_rng(0)
    codec = GenomeCodec(space)
    ours = frequencies([codec.decode(genome_G) for genome_G in codec.sample(6000, rng)])
    theirs = frequencies([space.sample(rng) for _ in range(6000)])
    # A share of 1/3 has a standard error of 0.006; to cut what is drawn from all choices would be wrong by 0.08.
    assert max(abs(ours[key] - theirs[key]) for key in ours | theirs) < 0.03


@few
@given(uneven_spaces(), rngs, st.sampled_from([0.05, 0.3, 1.0]))
def test_mutants_are_canonical_and_their_parents_stay_as_they_are(space, rng, probability):
    codec = GenomeCodec(space)
    genome_NG = codec.sample(40, rng)
    before_NG = genome_NG.copy()
    assert_canonical(codec, codec.mutate(genome_NG, rng, probability))
    assert np.array_equal(genome_NG, before_NG)


@few
@given(uneven_spaces(), seeds)
def test_probability_0_mutates_nothing_and_1_forgets_the_parents(space, seed):
    codec = GenomeCodec(space)
    a_NG, b_NG = (
        codec.sample(40, np.random.default_rng([seed, 0])),
        codec.sample(40, np.random.default_rng([seed, 1])),
    )
    assert np.array_equal(codec.mutate(a_NG, np.random.default_rng(seed), 0.0), a_NG)
    forgotten_NG = codec.mutate(a_NG, np.random.default_rng(seed), 1.0)
    assert np.array_equal(forgotten_NG, codec.mutate(b_NG, np.random.default_rng(seed), 1.0))


def test_each_gene_is_redrawn_with_the_probability_that_is_given():
    codec, rng = GenomeCodec(cut_space()), np.random.default_rng(0)
    genome_NG = codec.sample(5000, rng)
    changed_G = (codec.mutate(genome_NG, rng, 0.4) != genome_NG).mean(axis=0)
    shares = dict(zip(codec.names, changed_G, strict=True))
    # Of two choices half the draws take the other one, of three two thirds; the standard error is 0.006.
    assert shares["encoder.dim"] == pytest.approx(0.4 / 2, abs=0.03)
    assert shares["encoder.layers[0].heads"] == pytest.approx(0.4 / 2, abs=0.03)
    assert shares["encoder.layers"] == pytest.approx(0.4 * 2 / 3, abs=0.03)
    assert shares["decoder.dim"] == 0


def test_layers_that_a_mutation_adds_get_every_choice():
    codec = GenomeCodec(cut_space())
    shallow_NG = np.repeat(codec.encode(codec.space.smallest())[None], 2000, axis=0)
    mutant_NG = codec.mutate(shallow_NG, np.random.default_rng(0), 0.2)
    for key in ("heads", "experts", "top_k", "expert_widths[0]"):
        place = codec.names.index(f"encoder.layers[2].{key}")
        assert set(shallow_NG[:, place].tolist()) == {0}
        assert set(mutant_NG[:, place].tolist()) == {0, *codec.choices[place]}


@few
@given(uneven_spaces(), rngs)
def test_children_are_canonical_and_their_parents_stay_as_they_are(space, rng):
    codec = GenomeCodec(space)
    a_NG, b_NG = codec.sample(40, rng), codec.sample(40, rng)
    before = a_NG.copy(), b_NG.copy()
    assert_canonical(codec, codec.cross(a_NG, b_NG, rng))
    assert np.array_equal(a_NG, before[0])
    assert np.array_equal(b_NG, before[1])
    assert np.array_equal(codec.cross(a_NG, a_NG, rng), a_NG)


@few
@given(spaces(), rngs)
def test_every_size_of_a_child_is_a_size_of_a_parent(space, rng):
    codec = GenomeCodec(space)
    a_NG, b_NG = codec.sample(40, rng), codec.sample(40, rng)
    child_NG = codec.cross(a_NG, b_NG, rng)
    for place, name in enumerate(codec.names):
        if name.endswith((".top_k", ".cross_layers")):  # what the child has not enough experts or layers for is cut
            continue
        label = name.rpartition("[")[0] if name.endswith("]") else name  # experts of a layer may change places
        alike = [i for i, other in enumerate(codec.names) if other == name or other.rpartition("[")[0] == label]
        parents_NA = np.concatenate([a_NG[:, alike], b_NG[:, alike]], axis=1)
        child_N = child_NG[:, place]
        assert ((child_N == 0) | (child_N[:, None] == parents_NA).any(axis=1)).all()


def test_both_parents_give_half_of_the_genes():
    codec, rng = GenomeCodec(cut_space()), np.random.default_rng(0)
    small_NG, large_NG = (
        np.repeat(codec.encode(arch)[None], 4000, axis=0) for arch in (codec.space.smallest(), codec.space.largest())
    )
    child_NG = codec.cross(small_NG, large_NG, rng)
    for name in ("encoder.dim", "encoder.layers", "encoder.layers[0].heads", "decoder.layers"):
        place = codec.names.index(name)
        assert abs((child_NG[:, place] == large_NG[0, place]).mean() - 0.5) < 0.04  # standard error 0.008


@few
@given(uneven_spaces(), seeds)
def test_equal_seeds_draw_equal_genomes(space, seed):
    codec = GenomeCodec(space)

    def draw() -> np.ndarray:
        rng = np.random.default_rng(seed)
        genome_NG = codec.sample(10, rng)
        return codec.cross(genome_NG, codec.mutate(genome_NG, rng, 0.3), rng)

    assert np.array_equal(draw(), draw())


@few
@given(uneven_spaces(), uneven_spaces(), rngs, st.data())
def test_exactly_the_architectures_of_the_space_are_encoded(space, other, rng, data):
    codec, inside = GenomeCodec(space), space.sample(rng)
    path = data.draw(st.sampled_from(list(places(inside.to_dict()))))
    changed = with_size(inside, path, data.draw(st.sampled_from((1, 2, 3, 4, 8, 16, 24))))
    for arch in (inside, changed or inside, other.sample(rng)):
        if arch in space:
            assert codec.decode(codec.encode(arch)) == arch
        else:
            with pytest.raises(SpaceError, match="is not in the space 'random'"):
                codec.encode(arch)


@pytest.mark.parametrize(
    ("path", "value", "key", "allowed"),
    [
        (("encoder", "dim"), 48, "encoder.dim", "16 or 32"),
        (("decoder", "dim"), 48, "decoder.dim", "16 or 32"),
        (("encoder", "layers", 1, "heads"), 4, "encoder.layers[1].heads", "2"),
        (("encoder", "layers", 0, "qkv_dim"), 16, "encoder.layers[0].qkv_dim", "32"),
        (("encoder", "layers", 0, "top_k"), 2, "encoder.layers[0].top_k", "1"),
        (
            ("encoder", "layers", 0, "expert_widths", 0), 64, "encoder.layers[0].expert_widths",
            "1 or 2 or 3 experts, each of width 16 or 32",
        ),
        (("decoder", "layers", 1, "cross_heads"), 4, "decoder.layers[1].cross_heads", "2"),
        (("decoder", "layers", 1, "cross_qkv_dim"), 16, "decoder.layers[1].cross_qkv_dim", "32"),
    ],
)  # fmt: skip
def test_the_first_size_that_the_space_lacks_is_named(path, value, key, allowed):
    space = read_space(find_space("tiny"))
    with pytest.raises(SpaceError) as caught:
        GenomeCodec(space).encode(with_size(space.largest(), path, value))
    assert (caught.value.key, caught.value.allowed) == (key, allowed)


def test_a_depth_that_the_space_lacks_is_named():
    space = read_space(find_space("tiny"))
    largest = space.largest()
    deeper = dataclasses.replace(largest.encoder, layers=largest.encoder.layers * 2)
    with pytest.raises(SpaceError) as caught:
        GenomeCodec(space).encode(dataclasses.replace(largest, encoder=deeper))
    assert (caught.value.key, caught.value.value, caught.value.allowed) == ("encoder.layers", 4, "1 or 2")


def test_an_architecture_file_is_a_space_of_one_genome():
    arch = read_architecture(find_architecture("quickstart"))
    codec = GenomeCodec(read_space(find_architecture("quickstart")))
    rng = np.random.default_rng(0)
    genome_NG = np.repeat(codec.encode(arch)[None], 5, axis=0)
    assert np.array_equal(codec.mutate(codec.sample(5, rng), rng, 0.5), genome_NG)


def with_gene(codec: GenomeCodec, name: str, value: int) -> np.ndarray:
    genome_G = codec.encode(codec.space.largest())
    genome_G[codec.names.index(name)] = value
    return genome_G


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("encoder.dim", 48, "encoder.dim=48: is no choice of the space 'tiny' (allowed: 16, 32)"),
        ("encoder.dim", 0, "is no choice"),
        ("encoder.layers[0].experts", -1, "is no choice"),
        ("encoder.layers[0].top_k", 2, "is no choice"),
        ("encoder.layers[0].qkv_dim", 16, "is no choice"),  # it follows the dimension
        ("decoder.layers[1].heads", 10**12, "is no choice"),
        ("decoder.layers[1].heads", 0, "is 0, but the layer or expert is there"),
        ("decoder.layers[1].expert_widths[2]", 0, "is 0, but the layer or expert is there"),
    ],
)
def test_a_gene_that_no_genome_of_the_space_has_is_refused_by_name(name, value, message):
    codec = GenomeCodec(read_space(find_space("tiny")))
    genome_NG = np.stack([with_gene(codec, "encoder.dim", 16), with_gene(codec, name, value)])
    rng = np.random.default_rng(0)
    for use in (
        lambda: codec.canonical(genome_NG),
        lambda: codec.decode(genome_NG[1]),
        lambda: codec.mutate(genome_NG, rng, 0.5),
        lambda: codec.cross(genome_NG[:1], genome_NG[1:], rng),
    ):
        with pytest.raises(SpaceError) as caught:
            use()
        assert caught.value.key == name
        assert message in str(caught.value)


@pytest.mark.parametrize(
    "genome_NG",
    [
        np.zeros((3, 5), dtype=np.int64),
        np.zeros(38, dtype=np.int64),
        np.zeros((3, 38)),
        np.zeros((1, 1, 38), dtype=np.int64),
    ],
    ids=lambda genome_NG: f"{genome_NG.dtype}{genome_NG.shape}",
)
def test_what_is_no_table_of_genomes_is_refused_with_its_form(genome_NG):
    codec = GenomeCodec(read_space(find_space("tiny")))
    with pytest.raises(SpaceError, match="a genome of the space 'tiny' is 38 whole numbers") as caught:
        codec.canonical(genome_NG)
    assert str(genome_NG.shape) in caught.value.value


def test_parents_that_are_not_equally_many_are_refused():
    codec, rng = GenomeCodec(read_space(find_space("tiny"))), np.random.default_rng(0)
    with pytest.raises(SpaceError, match="equally many"):
        codec.cross(codec.sample(3, rng), codec.sample(2, rng), rng)
