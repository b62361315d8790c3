import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.decoding import EOS, SearchConfig, search
from automoe.latency.beam_watch import BeamWatch
from automoe.latency.forced_length import ForcedLength
from automoe.nn import TorchStepper, Transformer, TransformerConfig
from tests.architectures import MAXIMUM, random_slice
from tests.decoding.hash_model import HashModel, HashStepper

SOURCES = [np.array([5, 6, EOS]), np.array([7, EOS]), np.array([8, 9, 10, EOS])]
LENGTHS = st.lists(st.integers(1, 7), min_size=3, max_size=3)


class SlowToEnd(HashModel):
    """The same model if it never thought of ending."""

    def log_probs_V(self, source, prefix):
        log_probs_V = super().log_probs_V(source, prefix)
        log_probs_V[EOS] = -1e9
        return log_probs_V


def forced(stepper, length, beam):
    return ForcedLength(stepper, [length]), SearchConfig(beam=beam, max_ratio=0.0, max_extra=length)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 8), st.integers(1, 6), st.sampled_from([-20.0, 0.0, 5.0, 20.0]))
def test_every_hypothesis_ends_at_the_length_whatever_the_model_wants(seed, length, beam, end_bias):
    stepper, config = forced(HashStepper(HashModel(20, seed, end_bias=end_bias)), length, beam)
    [hypotheses] = search(stepper, SOURCES[:1], config)
    assert len(hypotheses) == beam
    for hypothesis in hypotheses:
        assert len(hypothesis.tokens) == length + 1
        assert hypothesis.tokens[-1] == EOS and EOS not in hypothesis.tokens[:-1]
    assert len({tuple(hypothesis.tokens) for hypothesis in hypotheses}) == beam


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), LENGTHS, st.integers(1, 4))
def test_each_sentence_of_a_batch_has_its_own_length(seed, lengths, beam):
    stepper = ForcedLength(HashStepper(HashModel(20, seed, end_bias=5.0)), lengths)
    found = search(stepper, SOURCES, SearchConfig(beam=beam, max_ratio=0.0, max_extra=max(lengths) + 3))
    for hypotheses, length in zip(found, lengths, strict=True):
        assert [len(hypothesis.tokens) for hypothesis in hypotheses] == [length + 1] * beam


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 5))
def test_the_tokens_before_the_end_are_those_the_model_prefers(seed, length, beam):
    stepper, config = forced(HashStepper(HashModel(20, seed, end_bias=5.0)), length, beam)
    [ended] = search(stepper, SOURCES[:1], config)
    [free] = search(HashStepper(SlowToEnd(20, seed, end_bias=5.0)), SOURCES[:1], config)
    assert [h.tokens.tolist() for h in ended] == [h.tokens.tolist() for h in free]


def test_candidates_come_best_first_and_hold_the_end_symbol():
    stepper = ForcedLength(HashStepper(HashModel(20, end_bias=5.0)), [1])
    stepper.start(SOURCES[:1], 6)
    for tokens in ([EOS], [5]):
        scores, candidates = stepper.step(np.array(tokens), np.array([0]))
        assert (candidates == EOS).sum() == 1
        assert (scores[0, :-1] >= scores[0, 1:]).all()
    assert candidates[0, 0] == EOS and scores[0, 0] == 0 and np.isneginf(scores[0, 1:]).all()


def test_a_vocabulary_smaller_than_the_beam_still_ends_at_the_length():
    stepper, config = forced(HashStepper(HashModel(5, end_bias=5.0)), 4, 5)
    [hypotheses] = search(stepper, SOURCES[:1], config)
    assert {len(hypothesis.tokens) for hypothesis in hypotheses} == {5}


def test_a_transformer_with_experts_decodes_at_the_length_with_beams_that_differ():
    torch.manual_seed(0)
    transformer = Transformer(MAXIMUM, TransformerConfig(vocab_size=40))
    rng = np.random.default_rng(0)
    for length in (1, 4, 9):
        watch = BeamWatch(TorchStepper(transformer, *random_slice(MAXIMUM, rng)))
        stepper, config = forced(watch, length, 5)
        [hypotheses] = search(stepper, SOURCES[:1], config)
        assert [len(hypothesis.tokens) for hypothesis in hypotheses] == [length + 1] * 5
        assert watch.steps == length + 1 and watch.distinct_beams == 1.0


def test_beams_that_do_not_differ_are_seen():
    watch = BeamWatch(HashStepper(HashModel(20)))
    watch.start(SOURCES[:1], 5)
    watch.step(np.array([EOS]), np.array([0]))
    watch.step(np.array([5, 6]), np.array([0, 0]))
    assert watch.distinct_beams == 1.0
    watch.step(np.array([7, 7]), np.array([0, 0]))
    assert watch.distinct_beams == 0.5
    watch.step(np.array([8, 9]), np.array([0, 1]))
    assert (watch.steps, watch.distinct_beams) == (4, 2 / 3)


def test_the_beams_of_a_batch_are_compared_within_each_sentence():
    watch = BeamWatch(HashStepper(HashModel(20)))
    watch.start(SOURCES[:2], 5)
    watch.step(np.array([EOS, EOS]), np.array([0, 1]))
    watch.step(np.array([5, 6, 5, 6]), np.array([0, 0, 1, 1]))
    assert watch.distinct_beams == 1.0, "alike are those of different sentences only"
    watch.step(np.array([7, 8, 7, 7]), np.array([0, 1, 2, 2]))
    assert watch.distinct_beams == 0.75
    watch.step(np.array([7, 8]), np.array([2, 3]))  # the first sentence is finished
    assert (watch.steps, watch.distinct_beams) == (4, 0.8)


def test_a_length_of_zero_and_a_wrong_number_of_sentences_are_refused():
    with pytest.raises(ValueError, match="at least one token"):
        ForcedLength(HashStepper(HashModel(20)), [0])
    with pytest.raises(ValueError, match="2 sentences, but 1 lengths"):
        ForcedLength(HashStepper(HashModel(20)), [3]).start(SOURCES[:2], 5)
