"""What a search may ask of a stepper, drawn at random, and what two steppers must then agree on.

Shape suffixes: N rows, K candidates per row, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from automoe.decoding import EOS, Float32Array, Int64Array, Stepper

TOLERANCE = 1e-4
"""Of log probabilities in float32: sums of a few hundred terms in another order."""


class Step(NamedTuple):
    """The arguments of `Stepper.step`."""

    tokens_N: Int64Array
    order_N: Int64Array


def random_walk(
    rng: np.random.Generator, *, sentences: int, vocab_size: int, beam: int, steps: int = 6
) -> Iterator[Step]:
    """Steps of a search: sentences leave, after the first step too; the others' rows are reordered and repeated."""
    order_N = np.arange(sentences)
    yield Step(np.full(sentences, EOS), order_N)
    rows = 1
    for _ in range(steps - 1):
        leave = rng.random(sentences) < 0.2
        leave[rng.integers(sentences)] = False
        kept = np.flatnonzero(~leave)
        order_N = (kept[:, None] * rows + rng.integers(rows, size=(len(kept), beam))).ravel()
        yield Step(rng.integers(3, vocab_size, size=len(order_N)), order_N)
        sentences, rows = len(kept), beam


def walk(
    stepper: Stepper, sources: Sequence[Int64Array], num_candidates: int, steps: Sequence[Step]
) -> list[tuple[Float32Array, Int64Array]]:
    """What a stepper answers."""
    stepper.start(sources, num_candidates)
    return [stepper.step(*step) for step in steps]


def table(scores_NK: Float32Array, tokens_NK: Int64Array) -> Float32Array:
    """Scores by token, `score_NV`, of an answer that holds the whole vocabulary."""
    assert all(sorted(row) == list(range(scores_NK.shape[1])) for row in tokens_NK.tolist())
    score_NV = np.empty_like(scores_NK)
    np.put_along_axis(score_NV, tokens_NK, scores_NK, axis=1)
    return score_NV


def check_candidates(answer: tuple[Float32Array, Int64Array], wanted_NV: Float32Array, num_candidates: int) -> None:
    """Checks an answer against the log probabilities of all tokens, by the contract of `Stepper.step`."""
    scores_NK, tokens_NK = answer
    count = min(num_candidates, wanted_NV.shape[1])
    assert scores_NK.dtype == np.float32 and tokens_NK.dtype == np.int64
    assert scores_NK.shape == tokens_NK.shape == (len(wanted_NV), count)
    assert all(len(set(row)) == count and EOS in row for row in tokens_NK.tolist())
    np.testing.assert_allclose(scores_NK, np.take_along_axis(wanted_NV, tokens_NK, axis=1), rtol=0, atol=TOLERANCE)
    best_NK = -np.sort(-wanted_NV, axis=1)[:, :count]  # equal scores: whichever tokens, they are the best ones
    best_NK[:, -1] = np.where(wanted_NV[:, EOS] < best_NK[:, -1], wanted_NV[:, EOS], best_NK[:, -1])
    np.testing.assert_allclose(scores_NK, best_NK, rtol=0, atol=TOLERANCE)
    assert (np.diff(scores_NK, axis=1) <= 0).all()


def check_walk(
    stepper: Stepper,
    reference: Stepper,
    sources: Sequence[Int64Array],
    vocab_size: int,
    num_candidates: int,
    steps: Sequence[Step],
) -> None:
    """Checks that a stepper answers as another one does."""
    wanted = walk(reference, sources, vocab_size, steps)
    for answer, all_of_them in zip(walk(stepper, sources, num_candidates, steps), wanted, strict=True):
        check_candidates(answer, table(*all_of_them), num_candidates)
