import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import SpaceError
from automoe.space import Architecture, EncoderLayerArch
from tests.space.strategies import architectures, few


def reordered(form: dict, shuffle) -> dict:
    for side in form.values():
        for layer in side["layers"]:
            layer["expert_widths"] = shuffle(layer["expert_widths"])
    return form


@few
@given(architectures(), st.randoms())
def test_order_of_experts_changes_neither_value_nor_digest(arch, random):
    same = Architecture.from_dict(reordered(arch.to_dict(), lambda widths: random.sample(widths, len(widths))))
    assert same == arch
    assert same.digest == arch.digest


@few
@given(architectures(), architectures())
def test_digests_are_equal_only_for_equal_architectures(one, other):
    assert (one.digest == other.digest) == (one == other)


@few
@given(architectures())
def test_json_form_round_trips(arch):
    assert Architecture.from_dict(arch.to_dict()) == arch


@few
@given(architectures())
def test_an_architecture_fits_itself_and_not_one_with_a_narrower_expert(arch):
    assert arch.fits(arch)
    form = arch.to_dict()
    widest = form["encoder"]["layers"][0]["expert_widths"]
    if widest[-1] > 1:
        widest[-1] -= 1
        assert not arch.fits(Architecture.from_dict(form))


@few
@given(architectures())
def test_the_table_has_a_line_for_each_layer(arch):
    assert len(str(arch).splitlines()) == 1 + len(arch.encoder.layers) + len(arch.decoder.layers)


@pytest.mark.parametrize(
    ("sizes", "key"),
    [
        ({"heads": 3}, "heads"),
        ({"heads": 0}, "heads"),
        ({"qkv_dim": -8}, "qkv_dim"),
        ({"expert_widths": ()}, "expert_widths"),
        ({"expert_widths": (8, 0)}, "expert_widths"),
        ({"expert_widths": (8.5,)}, "expert_widths"),
        ({"top_k": 2}, "top_k"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": True}, "top_k"),
        ({"top_k": 1.0}, "top_k"),
        ({"heads": True}, "heads"),
        ({"expert_widths": (8, "16")}, "expert_widths"),
    ],
)
def test_impossible_layer_sizes_name_their_key(sizes, key):
    with pytest.raises(SpaceError) as caught:
        EncoderLayerArch(**({"heads": 2, "qkv_dim": 8, "expert_widths": (8,)} | sizes))
    assert caught.value.key == key
