"""Several teachers speak with one voice: the mean of what they think likely."""

import numpy as np
import pytest
import torch

from automoe.decoding import EOS, SearchConfig, beam_search, search
from automoe.distill.ensemble import EnsembleStepper, EnsembleTeacher, log_mean
from automoe.distill.teacher import ModelTeacher
from automoe.errors import TrainingError
from automoe.nn import TorchStepper, Transformer, TransformerConfig
from automoe.nn.random_weights import randomise
from tests.architectures import DENSE, MAXIMUM
from tests.distill.teacher_forced import TeacherForced
from tests.runtime.walks import check_walk, random_walk

VOCAB = 41
SEARCH = SearchConfig(beam=4, max_ratio=1.0, max_extra=2)


def teacher(arch=DENSE, seed=0, vocab_size=VOCAB):
    transformer = Transformer(arch, TransformerConfig(vocab_size=vocab_size)).eval()
    randomise(transformer, torch.Generator().manual_seed(seed))
    return ModelTeacher(transformer)


def sources(count=6, seed=0):
    rng = np.random.default_rng(seed)
    return [np.append(rng.integers(4, VOCAB, size=rng.integers(1, 9)), EOS) for _ in range(count)]


def batch():
    generator = torch.Generator().manual_seed(1)
    return (torch.randint(4, VOCAB, (3, length), generator=generator) for length in (5, 4))


def test_an_ensemble_teaches_the_mean_of_its_members_probabilities():
    source, previous = batch()
    members = [teacher(DENSE, 0), teacher(MAXIMUM, 1), teacher(DENSE, 2)]
    found = EnsembleTeacher(members).logits(source, previous)
    wanted = sum(member.logits(source, previous).double().softmax(dim=2) for member in members) / 3
    torch.testing.assert_close(found.double().softmax(dim=2), wanted, atol=1e-6, rtol=0)
    assert not found.requires_grad


def test_a_mean_of_probabilities_too_small_for_float32_is_finite():
    low = torch.tensor([-200.0, -1000.0])
    torch.testing.assert_close(log_mean([low, low - np.log(3)]), low + np.log(2 / 3))


@pytest.mark.parametrize("count", [1, 2])
def test_an_ensemble_of_one_model_translates_as_the_model(count):
    alone = beam_search(teacher().stepper(), sources(), SEARCH)
    together = beam_search(EnsembleTeacher([teacher()] * count).stepper(), sources(), SEARCH)
    for ours, theirs in zip(together, alone, strict=True):
        assert [found.tokens.tolist() for found in ours] == [found.tokens.tolist() for found in theirs]
        np.testing.assert_allclose([f.score for f in ours], [f.score for f in theirs], rtol=0, atol=1e-5)


def test_a_step_of_an_ensemble_says_what_it_says_under_teacher_forcing():
    ensemble = EnsembleTeacher([teacher(DENSE, 0), teacher(MAXIMUM, 1)])
    steps = list(random_walk(np.random.default_rng(0), sentences=6, vocab_size=VOCAB, beam=3))
    check_walk(ensemble.stepper(), TeacherForced(ensemble), sources(), VOCAB, 7, steps)


class Bounded(TorchStepper):
    """A model that must not be asked for what comes after its longest translation."""

    def __init__(self, longest, seed):
        super().__init__(teacher(seed=seed)._transformer)
        self.longest = longest

    def start(self, sources, num_candidates):
        super().start(sources, num_candidates)
        self._length = 0

    def log_probs(self, tokens_N, order_N):
        self._length += 1
        assert self.longest is None or self._length <= self.longest
        return super().log_probs(tokens_N, order_N)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("longest", [(3, None), (None, 4), (5, 2), (None, None)])
def test_a_translation_ends_where_the_first_member_knows_no_further_position(longest, beam):
    least = min((one for one in longest if one is not None), default=None)
    ensemble = EnsembleStepper([Bounded(one, seed) for seed, one in enumerate(longest)])
    assert ensemble.longest == least
    config = SearchConfig(beam=beam, max_ratio=0.0, max_extra=7, min_length=(least or 8) - 1)
    for nbest in search(ensemble, sources(), config):
        assert [len(found.tokens) for found in nbest] == [least or 8] * beam


def test_teachers_of_two_vocabularies_are_refused_with_both_sizes():
    with pytest.raises(TrainingError, match=r"teacher\.models.*41, 37 pieces"):
        EnsembleTeacher([teacher(), teacher(vocab_size=37)])
