import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.cost import costs
from automoe.predictor.layer_sizes import layer_sizes
from automoe.predictor.layer_sums import layer_sums
from tests.architectures import DENSE, MAXIMUM, architecture, decoder_layer, encoder_layer
from tests.predictor.samples import architectures


def physical(arch):
    x_NF, names = layer_sums([arch])
    return dict(zip(names, x_NF[0], strict=True))


def exact(arch, encoder_layers=3, decoder_layers=3):
    x_NF, names = layer_sizes([arch], encoder_layers, decoder_layers)
    return dict(zip(names, x_NF[0], strict=True))


def test_exact_features_keep_every_layer_apart():
    features = exact(MAXIMUM)
    assert (features["encoder.dim"], features["decoder.dim"]) == (32, 24)
    assert (features["encoder.layers"], features["decoder.layers"]) == (3, 3)
    widths = {"experts": 4, "total_width": 128, "widest": 48, "narrowest": 16}
    assert {name: features[f"encoder.1.{name}"] for name in widths} == widths
    assert [features[f"decoder.{i}.cross_layers"] for i in range(3)] == [3, 1, 2]


def test_a_layer_that_is_absent_has_no_features():
    features = exact(DENSE, encoder_layers=4, decoder_layers=3)
    assert {value for name, value in features.items() if name.startswith(("encoder.3", "decoder.2"))} == {0.0}
    assert features["decoder.1.exists"] == 1


def test_an_architecture_that_is_deeper_than_there_is_room_for_shows_its_first_layers():
    whole, cut = exact(MAXIMUM), exact(MAXIMUM, encoder_layers=1)
    assert cut == {name: value for name, value in whole.items() if not name.startswith(("encoder.1", "encoder.2"))}
    assert cut["encoder.layers"] == 3


def test_different_architectures_have_different_exact_features():
    archs = architectures(60)
    x_NF, names = layer_sizes(archs, 2, 3)
    assert x_NF.shape == (60, len(names)) and len(set(names)) == len(names)
    same_up_to_inner_widths = {
        tuple((len(w), sum(w), w[0], w[-1]) for _, _, layer in arch.layers() for w in [layer.expert_widths])
        for arch in archs
    }
    assert len(np.unique(x_NF, axis=0)) >= len(same_up_to_inner_widths)


def test_a_dense_layer_reaches_its_one_expert():
    features = physical(DENSE)
    assert (features["decoder.experts_reached"], features["encoder.experts_reached"]) == (2, 2)
    assert features["decoder.width_reached"] == 64
    assert (features["decoder.expert_layers"], features["encoder.expert_layers"]) == (0, 0)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 8), st.integers(1, 3))
def test_experts_reached_are_those_of_independent_uniform_choices(experts, top_k):
    top_k = min(top_k, experts)
    arch = architecture(16, [encoder_layer(8)], 16, [decoder_layer(*[8] * experts, top_k=top_k)])
    rng = np.random.default_rng(0)
    reached = [
        len({expert for _ in range(5) for expert in rng.permutation(experts)[:top_k]})  # a beam of 5
        for _ in range(3000)
    ]
    assert physical(arch)["decoder.experts_reached"] == pytest.approx(np.mean(reached), rel=0.03)


def test_products_of_encoder_and_steps_add_up_to_the_flops_of_a_pass():
    # Over 30 tokens; a pass multiplies with 30 keys where a step of ours sees itself and 15 earlier ones.
    for arch in architectures(20):
        features = physical(arch)
        past = sum(2 * 14 * layer.qkv_dim for layer in arch.decoder.layers)
        macs = features["encoder.macs"] + 30 * (features["decoder.step_macs"] + past)
        assert 2 * macs == pytest.approx(costs(arch, vocab_size=100, pre_norm=True).flops, rel=1e-5)


def test_nothing_is_predicted_from_the_order_or_number_of_architectures():
    archs = architectures(10)
    x_NF, _ = layer_sums(archs)
    alone_NF = np.concatenate([layer_sums([arch])[0] for arch in archs])
    np.testing.assert_array_equal(x_NF, alone_NF)
    assert layer_sums([])[0].shape == (0, x_NF.shape[1])
