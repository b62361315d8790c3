import numpy as np
import pytest
import torch

from automoe.decoding import EOS, PAD, SearchConfig, search
from automoe.latency.beam_watch import BeamWatch
from automoe.nn import TorchStepper, Transformer, TransformerConfig
from automoe.nn.random_weights import ROUTER_LOGIT_STD, randomise
from tests.architectures import DENSE, MAXIMUM

VOCAB = 300


def random_model(maximum=MAXIMUM, *, pre_norm=True, seed=0, vocab_size=VOCAB):
    model = Transformer.without_weights(maximum, TransformerConfig(vocab_size=vocab_size, pre_norm=pre_norm))
    model.to_empty(device="cpu").eval()
    randomise(model, torch.Generator().manual_seed(seed))
    return model


def sentence(length, seed=0):
    return np.append(np.random.default_rng(seed).integers(4, VOCAB, length - 1), EOS)


@pytest.mark.parametrize("pre_norm", [True, False])
def test_the_generator_alone_decides_every_weight(pre_norm):
    torch.manual_seed(1)
    one = random_model(pre_norm=pre_norm, seed=5)
    torch.manual_seed(2)
    same, other = random_model(pre_norm=pre_norm, seed=5), random_model(pre_norm=pre_norm, seed=6)
    for name, weight in one.named_parameters():
        assert torch.isfinite(weight).all()
        torch.testing.assert_close(weight, same.get_parameter(name), rtol=0, atol=0)
        if weight.ndim == 2:
            assert not torch.equal(weight, other.get_parameter(name))


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("maximum", [MAXIMUM, DENSE], ids=["experts", "dense"])
def test_hypotheses_differ_in_every_step_and_hold_many_words(maximum, pre_norm):
    watch, words = BeamWatch(TorchStepper(random_model(maximum, pre_norm=pre_norm))), []
    for seed in range(4):
        config = SearchConfig(beam=4, max_ratio=0, max_extra=15, min_length=15)
        best = search(watch, [sentence(12, seed)], config)[0][0]
        words.append(len(set(best.tokens.tolist())))
    assert watch.distinct_beams == 1
    assert np.mean(words) > 4  # as initialised for training a model repeats one word: 2, the end symbol counted


@pytest.mark.parametrize("pre_norm", [True, False])
def test_padding_and_end_symbol_are_unlikely(pre_norm):
    model = random_model(pre_norm=pre_norm)
    source_BS = torch.from_numpy(np.stack([sentence(9, seed) for seed in range(8)]))
    log_probs_NLV = model(source_BS, source_BS.roll(1, dims=1)).logits_NLV.log_softmax(dim=-1)
    assert log_probs_NLV[..., [PAD, EOS]].max() < np.log(0.05)


def test_router_scores_of_normalised_states_have_the_stated_deviation():
    model = random_model()
    source_BS = torch.from_numpy(np.stack([sentence(9, seed) for seed in range(16)]))
    routings = model(source_BS, source_BS.roll(1, dims=1)).routings
    stds = [routing.logits_TE.square().mean().sqrt().item() for routing in routings.values()]
    assert 0.7 * ROUTER_LOGIT_STD < np.mean(stds) < 1.3 * ROUTER_LOGIT_STD


@pytest.mark.gpu
def test_a_generator_of_the_cpu_fills_a_model_on_the_gpu_alike():
    config = TransformerConfig(vocab_size=VOCAB)
    model = Transformer.without_weights(MAXIMUM, config).to_empty(device="cuda")
    randomise(model, torch.Generator().manual_seed(0))
    for name, weight in random_model().named_parameters():
        torch.testing.assert_close(model.get_parameter(name).cpu(), weight)
