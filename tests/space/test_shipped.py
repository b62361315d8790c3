from itertools import pairwise
from math import comb

import numpy as np
import pytest

from automoe.cost import costs
from automoe.errors import SpaceError
from automoe.resources import resource_folder
from automoe.space import SearchSpace, find_architecture, find_space, lint, read_architecture, read_space

SHIPPED = sorted(path.stem for path in resource_folder("search_spaces").glob("*.yaml"))


def of_hat(encoder_layer: int, decoder_layer: int) -> int:
    """The size of a space with HAT's dimensions and depths: 2 dims each, 6 encoder layers, 1 to 6 decoder layers."""
    return 2 * 2 * encoder_layer**6 * sum(decoder_layer**depth for depth in range(1, 7))


def of_experts(most: int, ordered: bool) -> int:
    """In how many ways a layer can have 1 to `most` experts, each of one of 3 widths."""
    return sum(3**num if ordered else comb(num + 2, 2) for num in range(1, most + 1))


def of_automoe(experts: int) -> int:
    """2 heads in the encoder; 2 heads, 2 heads of cross-attention and 3 spans of it in the decoder."""
    return of_hat(2 * experts, 2 * 2 * 3 * experts)


def of_multi30k(ordered: bool) -> int:
    """6 of 9 pairs of dims, 11 of 12 pairs of depths; 2 heads in both sides, 2 spans of cross-attention."""
    encoder, decoder = 2 * of_experts(6, ordered), 2 * 2 * of_experts(3, ordered)
    depths = [(3, deep) for deep in (1, 2, 3)] + [(depth, deep) for depth in (4, 5) for deep in (1, 2, 3, 4)]
    return 6 * sum(encoder**depth * decoder**deep for depth, deep in depths)


# 3 dims, 2 heads and 3 widths in each side, 3 decoder depths; 4 numbers of experts for each side that has expert
# layers: in the patterns none, every 2, all, encoder every 2, encoder.
OF_SWITCH = (3 * 2 * 3) ** 2 * 3 * (1 + 4 * 4 + 4 * 4 + 4 + 4)
OF_DENSE = 3 * 3 * sum(6**depth for depth in range(3, 7)) * sum(6**depth for depth in range(1, 7))

SIZES = {  # raw: experts of a layer in order; architectures: without
    "automoe_wmt14_16": (114545208961913823976702869504, 114545208961913823976702869504),
    "automoe_wmt14_16_fractional": (
        4015164435744572233334756800083401613899801730399938047854930077657091751788224763261362204835840000000,
        517450866482370106532183862087212637748199424,
    ),
    "automoe_wmt14_2": (1687394362860896256, 1687394362860896256),
    "automoe_wmt14_2_fractional": (6863234671793311580160, 217910186640480402432),
    "automoe_wmt14_4": (6863234671793311580160, 6863234671793311580160),
    "automoe_wmt14_4_fractional": (6820309646049712516796252160000000, 1828690463035047891007045632),
    "automoe_wmt14_6": (888408682040519723188224, 888408682040519723188224),
    "automoe_wmt14_6_fractional": (2198023065142944111218385634049885378696970240, 81790112921355121306236673496064),
    "dense": (28188727056, 28188727056),
    "hat_iwslt14": (417846678672384, 417846678672384),
    "hat_wmt14": (417846678672384, 417846678672384),
    "multi30k": (177788850202822584217669632, 25722132131466359616),
    "quickstart": (13845590019072000, 7276643828352),
    "switch": (39852, 39852),
    "tiny": (648368, 114048),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_sizes_of_a_shipped_space(name):
    space = read_space(find_space(name))
    assert (space.num_raw, space.num_architectures) == SIZES[name]


def test_the_sizes_are_the_choices_multiplied_out():
    assert SIZES["automoe_wmt14_6"][0] == 4 * 3**6 * 2**6 * 6**6 * sum(216**depth for depth in range(1, 7))
    assert SIZES["hat_wmt14"][0] == of_hat(2 * 3, 2 * 2 * 3 * 3)
    for most in (2, 4, 6, 16):
        assert SIZES[f"automoe_wmt14_{most}"] == (of_automoe(3 * most),) * 2
        fractional = tuple(of_automoe(of_experts(most, ordered)) for ordered in (True, False))
        assert SIZES[f"automoe_wmt14_{most}_fractional"] == fractional
    assert SIZES["multi30k"] == (of_multi30k(ordered=True), of_multi30k(ordered=False))
    assert SIZES["switch"] == (OF_SWITCH, OF_SWITCH)
    assert SIZES["dense"] == (OF_DENSE, OF_DENSE)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_space_has_no_mistakes_and_survives_its_json_form(name):
    assert lint(find_space(name)) == []
    space = read_space(find_space(name))
    again = SearchSpace.from_dict(space.to_dict())
    assert again == space
    assert again.digest == space.digest


def test_shipped_spaces_are_different_spaces():
    assert len({read_space(find_space(name)).digest for name in SHIPPED}) == len(SHIPPED)


@pytest.mark.parametrize("most", [2, 4, 6, 16])
def test_the_spaces_of_automoe_hold_those_that_they_extend(most):
    rng = np.random.default_rng(0)
    names = (f"automoe_wmt14_{most}_fractional", f"automoe_wmt14_{most}", "hat_wmt14")
    for wider, narrower in pairwise(read_space(find_space(name)) for name in names):
        assert all(narrower.sample(rng) in wider for _ in range(20))
        assert not all(wider.sample(rng) in narrower for _ in range(20))


def test_switches_are_homogeneous_and_dense_models_dense():
    rng = np.random.default_rng(0)
    switch, dense = (read_space(find_space(name)) for name in ("switch", "dense"))
    for arch in (switch.sample(rng) for _ in range(50)):
        for side in (arch.encoder, arch.decoder):
            assert len({layer.heads for layer in side.layers}) == 1
            assert len({width for layer in side.layers for width in layer.expert_widths}) == 1
            assert len({layer.num_experts for layer in side.layers} - {1}) <= 1
    for arch in (dense.sample(rng) for _ in range(50)):
        assert all(layer.num_experts == 1 for side in (arch.encoder, arch.decoder) for layer in side.layers)


def test_decoders_of_multi30k_are_no_larger_than_their_encoders():
    rng = np.random.default_rng(0)
    space = read_space(find_space("multi30k"))
    depths = set()
    for arch in (space.sample(rng) for _ in range(100)):
        assert arch.decoder.dim <= arch.encoder.dim
        assert len(arch.decoder.layers) <= len(arch.encoder.layers)
        depths.add(len(arch.decoder.layers))
    assert depths == {1, 2, 3, 4}


def test_a_name_finds_the_shipped_file():
    assert read_space(find_space("quickstart")).name == "quickstart"
    assert read_architecture(find_architecture("tiny")).encoder.dim == 32


def test_a_path_is_taken_as_it_is(tmp_path):
    assert find_space(tmp_path / "mine.yaml") == tmp_path / "mine.yaml"
    assert find_architecture("./mine.json").name == "mine.json"


def test_the_tiny_space_chooses_everything_but_heads_and_is_small():
    space = read_space(find_space("tiny"))
    chosen = {gene.name.rpartition(".")[2] for gene in space.genes() if len(gene.choices) > 1}
    assert chosen == {"dim", "layers", "experts", "expert_width", "cross_layers"}
    assert space.num_architectures < 1_000_000
    assert costs(space.largest(), vocab_size=1000, pre_norm=True).params_total < 150_000


def test_the_quickstart_space_holds_models_that_minutes_can_train():
    largest = read_space(find_space("quickstart")).largest()
    assert max(largest.encoder.dim, largest.decoder.dim) <= 128
    assert costs(largest, vocab_size=4000, pre_norm=True).params_total < 3_000_000


def test_a_relative_path_may_start_beside_a_file(tmp_path):
    assert find_space("other/mine.yaml", beside=tmp_path / "file.yaml") == tmp_path / "other/mine.yaml"
    assert find_space(tmp_path / "mine.yaml", beside=tmp_path / "a/file.yaml") == tmp_path / "mine.yaml"
    assert find_space("quickstart", beside=tmp_path / "file.yaml") == find_space("quickstart")


@pytest.mark.parametrize(
    ("find", "names"),
    [(find_space, ", ".join(SHIPPED)), (find_architecture, "dense_small, quickstart, switch_small, tiny")],
)
def test_an_unknown_name_lists_those_that_there_are(find, names):
    with pytest.raises(SpaceError, match="Did you mean 'quickstart'") as caught:
        find("quikstart")
    assert caught.value.allowed == names


def test_a_missing_path_of_a_shipped_name_says_how_to_ask_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpaceError, match="write 'quickstart'"):
        find_space("quickstart.yaml")
