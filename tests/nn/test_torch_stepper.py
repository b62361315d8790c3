import numpy as np
import torch

from automoe.decoding import EOS
from automoe.nn import TorchStepper, Transformer, TransformerConfig
from tests.architectures import MAXIMUM

VOCAB = 30
SOURCES = [np.array([5, 6, 7, EOS]), np.array([8, EOS]), np.array([9, 10, 11, 12, 13, EOS])]


def model():
    torch.manual_seed(0)
    return Transformer(MAXIMUM, TransformerConfig(vocab_size=VOCAB)).double()


def scores_of(stepper, prefix, source):
    """Candidates after a prefix of one sentence, alone and without reordering."""
    stepper.start([source], VOCAB)
    for token in [EOS, *prefix]:
        scores, tokens = stepper.step(np.array([token]), np.array([0]))
    table = np.empty(VOCAB)
    table[tokens[0]] = scores[0]
    return table


def test_rows_repeated_reordered_and_dropped_score_as_alone():
    stepper, alone = TorchStepper(model()), TorchStepper(model())
    stepper.start(SOURCES, VOCAB)
    stepper.step(np.array([EOS] * 3), np.arange(3))
    stepper.step(np.array([5, 6, 7, 8, 9, 10]), np.array([0, 0, 1, 1, 2, 2]))
    # Sentence 1 leaves; the rows of the others cross over and repeat.
    scores, tokens = stepper.step(np.array([11, 12, 13, 14]), np.array([1, 0, 5, 5]))
    for row, (prefix, source) in enumerate(
        [([6, 11], SOURCES[0]), ([5, 12], SOURCES[0]), ([10, 13], SOURCES[2]), ([10, 14], SOURCES[2])]
    ):
        table = np.empty(VOCAB)
        table[tokens[row]] = scores[row]
        np.testing.assert_allclose(table, scores_of(alone, prefix, source), atol=1e-5)


def test_scores_are_log_probabilities_best_first():
    stepper = TorchStepper(model())
    stepper.start(SOURCES, VOCAB)
    scores, tokens = stepper.step(np.array([EOS] * 3), np.arange(3))
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, atol=1e-5)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(sorted(row) == list(range(VOCAB)) for row in tokens)


def test_dropout_is_off_and_the_mode_of_the_model_is_kept():
    transformer = model().train()
    stepper = TorchStepper(transformer)
    first = scores_of(stepper, [5], SOURCES[0])
    np.testing.assert_array_equal(first, scores_of(stepper, [5], SOURCES[0]))
    assert transformer.training
