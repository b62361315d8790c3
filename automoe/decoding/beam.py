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

The bookkeeping is done on lists, sentence by sentence: it is a few dozen numbers, for which arrays are slower.

Shape suffixes: S sentences still going on, R rows (hypotheses) per sentence, N = S * R rows, K candidates per row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from automoe.decoding.candidates import SPARE_CANDIDATES, check_scores, no_translation
from automoe.decoding.hypothesis import Hypothesis, SearchConfig
from automoe.decoding.stepper import Int64Array, Stepper
from automoe.decoding.symbols import EOS, PAD

_Continued = tuple[float, int, int]
"""A hypothesis that goes on: its score, its row among those of its sentence, its new token."""
_ABSENT: _Continued = (-np.inf, 0, EOS)
"""Fills up a sentence with fewer hypotheses than the beam; a model can embed the end symbol."""


@dataclass
class _History:
    """The steps so far: the token that each row appended, and the row of the step before that it continued."""

    tokens: list[list[int]] = field(default_factory=list)
    orders: list[list[int]] = field(default_factory=list)

    def trace(self, row: int) -> Int64Array:
        """The tokens of a row of the last step and an end symbol."""
        found = [EOS]
        for tokens, order in zip(reversed(self.tokens), reversed(self.orders), strict=True):
            found.append(tokens[row])
            row = order[row]
        return np.array(found[::-1], dtype=np.int64)


@dataclass
class _Sentence:
    """A sentence that is being translated."""

    limit: int
    """Most tokens, the end symbol not counted."""
    finished: list[Hypothesis] = field(default_factory=list)


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
    if not sources:
        return []
    stepper.start(sources, config.beam + SPARE_CANDIDATES)  # no more than `beam` continuations of one row can go on
    sentences = [_Sentence(limit=config.limit(len(source))) for source in sources]
    going_on, rows = sentences, 1
    history = _History()
    order_N = np.arange(len(sources))
    token_N = np.full(len(sources), EOS, dtype=np.int64)
    score_N1 = np.zeros((len(sources), 1), dtype=np.float32)
    while going_on:
        scores_NK, tokens_NK = stepper.step(token_N, order_N)
        check_scores(scores_NK)
        total_SP = (score_N1 + scores_NK).reshape(len(going_on), -1).tolist()  # sums in float32
        token_SP = tokens_NK.reshape(len(going_on), -1).tolist()
        beams = [
            _advance(sentence, totals, tokens, rows, index * rows, history, config)
            for index, (sentence, totals, tokens) in enumerate(zip(going_on, total_SP, token_SP, strict=True))
        ]
        order = [index * rows + row for index, beam in enumerate(beams) for _, row, _ in beam]
        appended = [token for beam in beams for _, _, token in beam]
        history.tokens.append(appended)
        history.orders.append(order)
        going_on, rows = [sentence for sentence, beam in zip(going_on, beams, strict=True) if beam], config.beam
        order_N, token_N = np.array(order), np.array(appended)
        score_N1 = np.array([[score] for beam in beams for score, _, _ in beam], dtype=np.float32)
    return [_ranked(sentence.finished) for sentence in sentences]


def _advance(
    sentence: _Sentence,
    totals: list[float],
    tokens: list[int],
    rows: int,
    first_row: int,
    history: _History,
    config: SearchConfig,
) -> list[_Continued]:
    """One step of one sentence: finishes hypotheses and chooses those that go on.

    Args:
        sentence: new finished hypotheses are added to it.
        totals: score of each candidate together with the tokens before it; those of a row stand side by side.
        tokens: the token of each candidate.
        rows: number of its rows.
        first_row: its first row among those of all sentences.
        history: the steps before.
        config: beam, length penalty, least length.

    Returns:
        As many as the beam, absent ones last; none if the sentence is done.
    """
    beam, length, finished, per_row = config.beam, len(history.tokens), sentence.finished, len(totals) // rows
    full = length >= sentence.limit
    if full and any(EOS not in tokens[first : first + per_row] for first in range(0, len(tokens), per_row)):
        raise ValueError("the stepper's candidates lack the end-of-sentence symbol")
    may_end = full or length >= config.min_length
    continued: list[_Continued] = []
    rank = 0
    for place in sorted(range(len(totals)), key=totals.__getitem__, reverse=True):  # equal ones stay in order
        total, token = totals[place], tokens[place]
        if total == -np.inf or rank == 2 * beam:
            break
        if token == EOS:
            if not may_end:
                continue
            if rank < beam and len(finished) < beam:
                finished.append(_finish(total, history.trace(first_row + place // per_row), config))
        elif token == PAD or full:
            continue
        elif len(continued) < beam:
            continued.append((total, place // per_row, token))
        rank += 1
    if full or not continued or len(finished) == beam:
        return []
    return continued + [_ABSENT] * (beam - len(continued))


def _finish(score: float, tokens: Int64Array, config: SearchConfig) -> Hypothesis:
    normalised = np.float32(score) / np.float32(len(tokens) ** config.length_penalty)
    return Hypothesis(tokens=tokens, score=score, normalised=float(normalised))


def _ranked(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
    if not hypotheses:
        raise no_translation()
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.normalised)
