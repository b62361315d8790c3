"""The laws of beam and greedy search, on a model whose scores are a pure function of source and prefix."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automoe.decoding import (
    EOS,
    PAD,
    Hypothesis,
    SearchConfig,
    beam_search,
    greedy_search,
    search,
)
from automoe.errors import AutoMoEError, ConfigError
from tests.decoding.hash_model import HashModel, HashStepper
from tests.decoding.naive_search import naive_beam_search

configs = st.builds(
    SearchConfig,
    beam=st.integers(1, 6),
    length_penalty=st.sampled_from([0.0, 0.6, 1.0, 2.0, -0.5]),
    max_ratio=st.sampled_from([0.0, 0.5, 1.2]),
    max_extra=st.integers(1, 4),
    min_length=st.integers(1, 12),  # the limits are from 1 to 11
)
models = st.builds(
    HashModel,
    vocab_size=st.sampled_from([5, 6, 9, 40]),
    seed=st.integers(0, 10_000),
    ties=st.booleans(),
    end_bias=st.sampled_from([-3.0, 0.0, 2.0, 5.0]),
)
batches = st.lists(st.lists(st.integers(3, 9), max_size=5).map(lambda ids: np.array([*ids, EOS])), max_size=5)
laws = settings(max_examples=100, deadline=None)


def as_tuple(hypothesis: Hypothesis) -> tuple[tuple[int, ...], float, float]:
    return tuple(hypothesis.tokens.tolist()), hypothesis.score, hypothesis.normalised


@laws
@given(models, batches, configs)
def test_beam_search_equals_naive_search_hypothesis_by_hypothesis(model, sources, config):
    found = beam_search(HashStepper(model), sources, config)
    expected = [naive_beam_search(model, source.tolist(), config) for source in sources]
    assert [[as_tuple(hypothesis) for hypothesis in nbest] for nbest in found] == expected


@laws
@given(models, batches, configs)
def test_neighbours_in_the_batch_change_nothing(model, sources, config):
    together = search(HashStepper(model), sources, config)
    alone = [search(HashStepper(model), [source], config)[0] for source in sources]
    assert [list(map(as_tuple, nbest)) for nbest in together] == [list(map(as_tuple, nbest)) for nbest in alone]


@laws
@given(models, batches, configs)
def test_greedy_equals_a_beam_of_one(model, sources, config):
    config = SearchConfig(beam=1, **{k: v for k, v in config.to_dict().items() if k != "beam"})
    greedy = greedy_search(HashStepper(model), sources, config)
    beam = beam_search(HashStepper(model), sources, config)
    assert [[as_tuple(hypothesis)] for hypothesis in greedy] == [list(map(as_tuple, nbest)) for nbest in beam]


@laws
@given(models, batches, configs)
def test_a_score_is_the_sum_of_the_models_log_probabilities(model, sources, config):
    for source, nbest in zip(sources, search(HashStepper(model), sources, config), strict=True):
        for hypothesis in nbest:
            tokens = hypothesis.tokens.tolist()
            total = sum(float(model.log_probs_V(source.tolist(), tokens[:i])[t]) for i, t in enumerate(tokens))
            assert hypothesis.score == pytest.approx(total, abs=1e-4)
            assert hypothesis.normalised == pytest.approx(total / len(tokens) ** config.length_penalty, abs=1e-4)


@laws
@given(models, batches, configs)
def test_hypotheses_are_distinct_well_formed_and_ranked(model, sources, config):
    for source, nbest in zip(sources, search(HashStepper(model), sources, config), strict=True):
        assert 1 <= len(nbest) <= config.beam
        assert len({tuple(hypothesis.tokens) for hypothesis in nbest}) == len(nbest)
        ranks = [hypothesis.normalised for hypothesis in nbest]
        assert ranks == sorted(ranks, reverse=True)
        for tokens in (hypothesis.tokens.tolist() for hypothesis in nbest):
            assert tokens.index(EOS) == len(tokens) - 1 and PAD not in tokens
            limit = config.limit(len(source))
            assert min(config.min_length, limit) <= len(tokens) - 1 <= limit


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize(("min_length", "expected"), [(1, 1), (3, 3), (4, 4), (5, 4), (100, 4)])
def test_a_model_that_would_end_at_once_ends_at_the_least_length_or_at_a_lower_limit(beam, min_length, expected):
    config = SearchConfig(beam=beam, max_ratio=0.0, max_extra=4, min_length=min_length)
    nbest = search(HashStepper(HashModel(9, end_bias=20.0)), [np.array([4, EOS])], config)[0]
    assert len(nbest[0].tokens) - 1 == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 2.0]))
def test_a_beam_that_holds_every_translation_finds_the_best(seed, length_penalty):
    model, source = HashModel(6, seed), np.array([4, EOS])
    config = SearchConfig(beam=256, length_penalty=length_penalty, max_ratio=0.0, max_extra=3)

    def rank(tokens: tuple[int, ...]) -> float:
        total = sum(float(model.log_probs_V(source.tolist(), tokens[:i])[t]) for i, t in enumerate(tokens))
        return total / len(tokens) ** length_penalty

    words = [token for token in range(6) if token not in (PAD, EOS)]
    every = [(*body, EOS) for length in (1, 2, 3) for body in itertools.product(words, repeat=length)]
    nbest = beam_search(HashStepper(model), [source], config)[0]
    assert len(nbest) == len(every)
    assert tuple(nbest[0].tokens.tolist()) == max(every, key=rank)


@pytest.mark.parametrize("beam", [1, 4])
def test_scores_that_are_not_numbers_are_an_error(beam):
    class Diverged(HashModel):
        def log_probs_V(self, source, prefix):
            return np.full(self.vocab_size, np.nan, dtype=np.float32)

    with pytest.raises(AutoMoEError, match="NaN"):
        search(HashStepper(Diverged(9)), [np.array([4, EOS])], SearchConfig(beam=beam))


@pytest.mark.parametrize("beam", [1, 4])
def test_a_model_that_rules_out_every_translation_is_an_error_and_no_endless_loop(beam):
    class Mute(HashModel):
        def log_probs_V(self, source, prefix):
            return np.where(np.arange(self.vocab_size) == PAD, 0.0, -np.inf).astype(np.float32)

    with pytest.raises(AutoMoEError, match="rules out every translation"):
        search(HashStepper(Mute(9)), [np.array([4, EOS])], SearchConfig(beam=beam))


@pytest.mark.parametrize("beam", [1, 4])
def test_a_stepper_that_leaves_out_the_end_symbol_is_an_error(beam):
    class Endless(HashStepper):
        def _candidates(self, source, prefix):
            return np.zeros(4, dtype=np.float32), np.array([3, 4, 5, 6])

    with pytest.raises(ValueError, match="end-of-sentence"):
        search(Endless(HashModel(9)), [np.array([4, EOS])], SearchConfig(beam=beam))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("beam", 0),
        ("beam", 2.5),
        ("beam", True),
        ("length_penalty", float("nan")),
        ("length_penalty", "1"),
        ("max_ratio", -0.1),
        ("max_extra", 0),
        ("min_length", 0),
        ("min_length", 2.5),
        ("min_length", True),
    ],
)
def test_a_config_that_makes_no_sense_names_the_key(key, value):
    with pytest.raises(ConfigError) as caught:
        SearchConfig(**{key: value})
    assert caught.value.key == key and caught.value.allowed


def test_a_config_survives_json():
    config = SearchConfig(beam=3, length_penalty=0.6, max_ratio=1.5, max_extra=7, min_length=2)
    assert SearchConfig.from_dict(config.to_dict()) == config
