"""Beam search over a `Stepper`, with the rules of fairseq's `SequenceGenerator` (0.12).

All sentences of a batch advance together, one token a step:

1. The candidates of a sentence are the 2 * beam best continuations of its hypotheses, by the sum of log
   probabilities in float32. At most `beam` of them end the sentence, so at least `beam` go on.
2. Of the first `beam` candidates those that end in the end symbol are finished. Their rank divides the sum by
   length ** length_penalty, the end symbol counted.
3. A sentence stops when it has `beam` finished hypotheses, or at its longest length, where only the end symbol
   may follow. It does not stop earlier although nothing better might be left, and it leaves the batch.
4. Otherwise the best `beam` candidates that do not end are the next hypotheses.

The first token is never the end symbol and no token is the padding. Equal scores: the continuation of the
better hypothesis comes first, then the order in which the stepper names tokens; of finished hypotheses of equal
rank the one that was finished earlier comes first. Unlike fairseq, the longest length follows from the sentence's
own source and not from the longest of the batch (`SearchConfig.limit`).

Shape suffixes: S sentences still going on, R rows (hypotheses) per sentence, N = S * R rows, K candidates per
row, C = 2 * beam candidates per sentence, W = beam, L tokens so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from automoe.decoding.candidates import SPARE_CANDIDATES, allowed_scores, no_translation
from automoe.decoding.hypothesis import Hypothesis, SearchConfig
from automoe.decoding.stepper import Float32Array, Int64Array, Stepper
from automoe.decoding.symbols import EOS


@dataclass(frozen=True)
class _Candidates:
    """The best continuations of each sentence's hypotheses, best first; the score of an absent one is -inf."""

    score_SC: Float32Array
    token_SC: Int64Array
    row_SC: Int64Array
    """The hypothesis of the sentence that is continued, 0 to R - 1."""

    @property
    def ends_SC(self) -> npt.NDArray[np.bool_]:
        return (self.token_SC == EOS) & np.isfinite(self.score_SC)


def beam_search(stepper: Stepper, sources: Sequence[Int64Array], config: SearchConfig) -> list[list[Hypothesis]]:
    """Searches the likeliest translations of sentences, all at once.

    Args:
        stepper: the model.
        sources: token ids of each sentence, its end symbol included.
        config: beam, length penalty and limits of the length.

    Returns:
        For each sentence, in the order of `sources`, up to `beam` finished hypotheses, best first.

    Raises:
        AutoMoEError: the model gives a sentence no score that is a number.
    """
    finished: list[list[Hypothesis]] = [[] for _ in sources]
    if not sources:
        return finished
    beam = config.beam
    stepper.start(sources, beam + SPARE_CANDIDATES)  # no more than `beam` continuations of one row can go on
    sentence_S = np.arange(len(sources))
    limit_S = np.array([config.limit(len(source)) for source in sources], dtype=np.int64)
    score_SR = np.zeros((len(sources), 1), dtype=np.float32)
    tokens_SRL = np.empty((len(sources), 1, 0), dtype=np.int64)
    order_N = np.arange(len(sources))
    token_N = np.full(len(sources), EOS, dtype=np.int64)
    while True:
        length, rows = tokens_SRL.shape[2], score_SR.shape[1]
        scores_NK, tokens_NK = stepper.step(token_N, order_N)
        scores_NK = allowed_scores(scores_NK, tokens_NK, length, limit_S.repeat(rows))
        candidates = _best(score_SR, scores_NK, tokens_NK, 2 * beam)
        _finish(candidates, tokens_SRL, sentence_S, finished, config)

        score_SW, row_SW, token_SW = _continued(candidates, beam)
        done_S = np.array([len(finished[sentence]) == beam for sentence in sentence_S])
        keep_S = ~done_S & (limit_S > length) & np.isfinite(score_SW).any(axis=1)
        if not keep_S.any():
            break
        order_N = (np.arange(len(sentence_S))[:, None] * rows + row_SW)[keep_S].ravel()
        token_N = token_SW[keep_S].ravel()
        tokens_SRL = np.take_along_axis(tokens_SRL, row_SW[:, :, None], axis=1)
        tokens_SRL = np.concatenate([tokens_SRL, token_SW[:, :, None]], axis=2)[keep_S]
        score_SR, sentence_S, limit_S = score_SW[keep_S], sentence_S[keep_S], limit_S[keep_S]
    return [_ranked(hypotheses) for hypotheses in finished]


def _best(score_SR: Float32Array, scores_NK: Float32Array, tokens_NK: Int64Array, count: int) -> _Candidates:
    """The `count` best continuations of each sentence."""
    sentences, rows = score_SR.shape
    total_SP = (score_SR.reshape(-1, 1) + scores_NK).reshape(sentences, -1)  # P = R * K
    token_SP = tokens_NK.reshape(sentences, -1)
    if (missing := count - total_SP.shape[1]) > 0:  # the first step has one row per sentence
        total_SP = np.pad(total_SP, ((0, 0), (0, missing)), constant_values=-np.inf)
        token_SP = np.pad(token_SP, ((0, 0), (0, missing)), constant_values=EOS)
    place_SC = np.argsort(-total_SP, axis=1, kind="stable")[:, :count]
    return _Candidates(
        score_SC=np.take_along_axis(total_SP, place_SC, axis=1),
        token_SC=np.take_along_axis(token_SP, place_SC, axis=1),
        row_SC=np.minimum(place_SC // scores_NK.shape[1], rows - 1),
    )


def _finish(
    candidates: _Candidates,
    tokens_SRL: Int64Array,
    sentence_S: Int64Array,
    finished: list[list[Hypothesis]],
    config: SearchConfig,
) -> None:
    """Adds the candidates that end among the first `beam` of each sentence to its finished hypotheses."""
    length = tokens_SRL.shape[2] + 1
    divisor = np.float32(length**config.length_penalty)
    for index, candidate in np.argwhere(candidates.ends_SC[:, : config.beam]):
        hypotheses = finished[sentence_S[index]]
        if len(hypotheses) == config.beam:
            continue
        score = candidates.score_SC[index, candidate]
        tokens_L = tokens_SRL[index, candidates.row_SC[index, candidate]]
        hypotheses.append(
            Hypothesis(tokens=np.append(tokens_L, EOS), score=float(score), normalised=float(score / divisor))
        )


def _continued(candidates: _Candidates, beam: int) -> tuple[Float32Array, Int64Array, Int64Array]:
    """The best `beam` candidates of each sentence that go on: scores, rows and tokens."""
    place_SW = np.argsort(candidates.ends_SC, axis=1, kind="stable")[:, :beam]
    score_SW = np.take_along_axis(candidates.score_SC, place_SW, axis=1)
    token_SW = np.take_along_axis(candidates.token_SC, place_SW, axis=1)
    # Absent candidates stay as rows so that all sentences have equally many; a model can embed the end symbol.
    token_SW = np.where(np.isfinite(score_SW), token_SW, EOS)
    return score_SW, np.take_along_axis(candidates.row_SC, place_SW, axis=1), token_SW


def _ranked(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
    if not hypotheses:
        raise no_translation()
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.normalised)
