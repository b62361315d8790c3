from copy import deepcopy

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from automoe.decoding import EOS
from automoe.nn import TorchStepper, Transformer, TransformerConfig
from automoe.nn.random_weights import randomise
from tests.architectures import MAXIMUM, architecture, decoder_layer, encoder_layer
from tests.runtime.walks import check_candidates, random_walk, table, walk

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


def decoding_model():
    """One that decodes like a trained one: its scores lie apart, and its routers send tokens to several experts."""
    transformer = Transformer(MAXIMUM, TransformerConfig(vocab_size=VOCAB)).eval()
    randomise(transformer, torch.Generator().manual_seed(0))
    return transformer


def check_agreement(transformer, exact, *, tolerance, same_tokens):
    """Checks scores after random prefixes of a model against those of `exact`.

    Args:
        transformer: the model.
        exact: the model in float32 on the CPU.
        tolerance: of the median score, in nats; a score in which a token met another expert may be further away.
        same_tokens: least share of the prefixes after which both find the same token likeliest.
    """
    rng = np.random.default_rng(0)
    sources = [np.append(rng.integers(4, VOCAB, size=length), EOS) for length in (3, 9, 6, 5, 12, 4, 7, 8)]
    steps = list(random_walk(rng, sentences=8, vocab_size=VOCAB, beam=5, steps=10))
    wanted, found = (walk(TorchStepper(model), sources, VOCAB, steps) for model in (exact, transformer))
    assert all(scores.dtype == np.float32 for scores, _ in found)
    wanted_NV, found_NV = (np.concatenate([table(*answer) for answer in answers]) for answers in (wanted, found))
    assert len(wanted_NV) > 100
    assert np.median(np.abs(wanted_NV - found_NV)) < tolerance
    assert (wanted_NV.argmax(axis=1) == found_NV.argmax(axis=1)).mean() >= same_tokens
    np.testing.assert_allclose(np.exp(found_NV).sum(axis=1), 1.0, atol=1e-5)  # the softmax is in float32


def test_in_bfloat16_scores_are_close_and_nearly_all_tokens_the_same():
    exact = decoding_model()
    check_agreement(deepcopy(exact).to(torch.bfloat16), exact, tolerance=0.05, same_tokens=0.97)


needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]


@pytest.mark.parametrize("dtype", [pytest.param(torch.float32, marks=needs_gpu),
                                   pytest.param(torch.bfloat16, marks=needs_gpu)])  # fmt: skip
def test_a_gpu_decodes_as_the_cpu_does(dtype):
    exact = decoding_model()
    tolerance, same_tokens = (1e-4, 1.0) if dtype is torch.float32 else (0.05, 0.97)
    check_agreement(deepcopy(exact).to("cuda", dtype), exact, tolerance=tolerance, same_tokens=same_tokens)


class ReadsBack(TorchDispatchMode):
    """Notes operations for which a GPU would have to tell the CPU a number: those whose shape depends on values."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)]
        selects = func.overloadpacket in (torch.ops.aten.index, torch.ops.aten.index_put_)
        by_mask = selects and any(tensor.dtype == torch.bool for tensor in tensors[1:])
        if by_mask or func.overloadpacket in (torch.ops.aten.nonzero, torch.ops.aten._local_scalar_dense):
            self.found.append(func)
        return func(*args, **(kwargs or {}))


def test_a_step_reads_nothing_back_but_its_answer():
    dense = architecture(32, [encoder_layer(48)], 24, [decoder_layer(48), decoder_layer(32)])
    stepper = TorchStepper(Transformer(dense, TransformerConfig(vocab_size=VOCAB)).eval())
    stepper.start(SOURCES, 5)
    stepper.step(np.array([EOS] * 3), np.arange(3))
    with ReadsBack() as reads:
        stepper.step(np.array([5, 6, 7, 8]), np.array([1, 1, 2, 2]))
    assert reads.found == []


@pytest.mark.parametrize("training", [False, True])
def test_the_end_is_always_a_candidate_and_in_the_last_place_where_it_is_none_of_the_best(training):
    stepper = TorchStepper(decoding_model().train(training))
    stepper.start(SOURCES, VOCAB)
    whole_NV = table(*stepper.step(np.array([EOS] * 3), np.arange(3)))
    for num_candidates in (1, 2, 7):
        stepper.start(SOURCES, num_candidates)
        check_candidates(stepper.step(np.array([EOS] * 3), np.arange(3)), whole_NV, num_candidates)
