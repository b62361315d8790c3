import numpy as np
import pytest
import torch

from automoe.decoding import EOS, PAD, SearchConfig, search
from automoe.latency.beam_watch import BeamWatch
from automoe.nn import TorchStepper, Transformer, TransformerConfig
from automoe.nn.even_routing import even_routing
from automoe.nn.expert_loads import expert_loads
from automoe.nn.random_weights import randomise
from tests.architectures import DENSE, architecture, decoder_layer, encoder_layer

VOCAB, DIM = 300, 32


def model_of(num_experts=6, top_k=1, *, pre_norm=True, trained=False):
    """Two layers a side. `trained`: biases, norms and routers of any size, as training makes them."""
    sizes = {"heads": 2, "qkv_dim": DIM, "top_k": top_k}
    arch = architecture(
        DIM,
        [encoder_layer(*[48] * num_experts, **sizes)] * 2,
        DIM,
        [decoder_layer(*[48] * num_experts, **sizes, cross_heads=2, cross_qkv_dim=DIM)] * 2,
    )
    generator = torch.Generator().manual_seed(num_experts)
    model = Transformer.without_weights(arch, TransformerConfig(vocab_size=VOCAB, pre_norm=pre_norm))
    model.to_empty(device="cpu").eval()
    randomise(model, generator)
    if trained:
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.ndim == 1 or "router" in name:
                    weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.5)
    return model


def sentences(count, seed):
    """Random words of which few are frequent, as in a language."""
    rng = np.random.default_rng(seed)
    frequency = 1 / np.arange(1, VOCAB - 3)
    words = [
        rng.choice(np.arange(4, VOCAB), rng.integers(4, 20), p=frequency / frequency.sum()) for _ in range(count)
    ]
    return [np.append(ids, EOS) for ids in words]


def largest_shares(model, sources):
    """For every expert layer the share of its busiest expert, in even shares, under teacher forcing."""
    source_BS = torch.full((len(sources), max(map(len, sources))), PAD)
    target_BL = source_BS.clone()
    for row, ids in enumerate(sources):
        source_BS[row, : len(ids)] = torch.from_numpy(ids)
        target_BL[row, : len(ids)] = torch.from_numpy(np.roll(ids, 1))
    loads = expert_loads(model, [(source_BS, target_BL)])
    return {layer: max(load) * len(load) / sum(load) for layer, load in loads.items()}


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize(("num_experts", "top_k"), [(2, 1), (6, 1), (6, 2), (16, 1)])
def test_no_expert_gets_twice_its_share_of_sentences_that_were_not_given(num_experts, top_k, pre_norm, trained):
    model = model_of(num_experts, top_k, pre_norm=pre_norm, trained=trained)
    even_routing(model, sentences(60, seed=1))
    shares = largest_shares(model, sentences(100, seed=2))
    assert len(shares) == 4
    assert max(shares.values()) < 2.0


def test_without_it_one_expert_gets_most():
    shares = largest_shares(model_of(trained=True), sentences(100, seed=2))
    assert max(shares.values()) > 2.5  # else the law above would say nothing


def test_hypotheses_of_a_step_differ_and_reach_different_experts():
    model = model_of()
    even_routing(model, sentences(60, seed=1))
    reached = []
    stepper = BeamWatch(TorchStepper(model))

    def count(_module, _arguments, output):
        if output[1].expert_TK.shape[0] == 5:  # a step of five hypotheses
            reached.append(len(output[1].expert_TK.unique()))

    for layer in model.decoder_layers:
        layer.experts.register_forward_hook(count)
    for source in sentences(4, seed=3):
        search(stepper, [source], SearchConfig(beam=5, max_ratio=0, max_extra=12, min_length=12))
    assert stepper.distinct_beams == 1
    assert np.mean(reached) > 1.5


def test_only_the_routers_change_and_the_same_way_each_time():
    one, again, before = model_of(), model_of(), model_of()
    even_routing(one, sentences(30, seed=1))
    even_routing(again, sentences(30, seed=1))
    for name, weight in one.named_parameters():
        torch.testing.assert_close(weight, again.get_parameter(name), rtol=0, atol=0)
        assert torch.equal(weight, before.get_parameter(name)) == ("router" not in name)


def test_a_dense_model_and_the_mode_of_training_stay_as_they_are():
    dense = Transformer(DENSE, TransformerConfig(vocab_size=VOCAB)).train()
    before = {name: weight.clone() for name, weight in dense.named_parameters()}
    even_routing(dense, sentences(3, seed=1))
    assert dense.training
    assert all(torch.equal(weight, before[name]) for name, weight in dense.named_parameters())


@pytest.mark.gpu
def test_it_works_on_a_gpu():
    model = model_of().to("cuda")
    even_routing(model, sentences(60, seed=1))
    assert max(largest_shares(model.cpu(), sentences(100, seed=2)).values()) < 2.0
