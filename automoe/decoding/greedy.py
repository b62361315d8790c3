"""Greedy search: always the likeliest next token. Finds the same tokens as beam search with a beam of one.

Shape suffixes: B sentences, N sentences still going on, K candidates per row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automoe.decoding.candidates import SPARE_CANDIDATES, allowed_scores, no_translation
from automoe.decoding.hypothesis import Hypothesis, SearchConfig
from automoe.decoding.stepper import Int64Array, Stepper
from automoe.decoding.symbols import EOS


def greedy_search(stepper: Stepper, sources: Sequence[Int64Array], config: SearchConfig) -> list[Hypothesis]:
    """Translates sentences greedily, all at once; `config.beam` is not looked at.

    Equally likely tokens: the one that the stepper names first.

    Args:
        stepper: the model.
        sources: token ids of each sentence, its end symbol included.
        config: limits of the length, and the length penalty of the reported score.

    Returns:
        One hypothesis per sentence, in the order of `sources`.

    Raises:
        AutoMoEError: the model gives a sentence no score that is a number.
    """
    if not sources:
        return []
    stepper.start(sources, 1 + SPARE_CANDIDATES)
    limit_B = np.array([config.limit(len(source)) for source in sources], dtype=np.int64)
    score_B = np.zeros(len(sources), dtype=np.float32)
    tokens_B: list[list[int]] = [[] for _ in sources]
    sentence_N = np.arange(len(sources))
    order_N = np.arange(len(sources))
    token_N = np.full(len(sources), EOS, dtype=np.int64)
    length = 0
    while len(sentence_N):
        scores_NK, tokens_NK = stepper.step(token_N, order_N)
        scores_NK = allowed_scores(scores_NK, tokens_NK, length, limit_B[sentence_N], config.min_length)
        best_N = scores_NK.argmax(axis=1)
        rows_N = np.arange(len(sentence_N))
        token_N = tokens_NK[rows_N, best_N]
        score_N = scores_NK[rows_N, best_N]
        if not np.isfinite(score_N).all():
            raise no_translation()
        score_B[sentence_N] += score_N
        for sentence, token in zip(sentence_N.tolist(), token_N.tolist(), strict=True):
            tokens_B[sentence].append(token)
        order_N = np.flatnonzero(token_N != EOS)
        sentence_N, token_N = sentence_N[order_N], token_N[order_N]
        length += 1
    return [
        Hypothesis(
            tokens=np.array(tokens, dtype=np.int64),
            score=float(score),
            normalised=float(score / np.float32(len(tokens) ** config.length_penalty)),
        )
        for tokens, score in zip(tokens_B, score_B, strict=True)
    ]
