"""`ForcedLength`: makes any model translate at given lengths, so that architectures are timed over equal work.

Shape suffixes: N hypotheses (rows), K candidates per row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automoe.decoding import EOS, Float32Array, Int64Array, Stepper


class ForcedLength:
    """A `Stepper` whose hypotheses end at a given length: not before and not after, whatever the model wants.

    The model runs as ever and its order of tokens stands, so that beams differ as they do in use. Only the end
    symbol is overruled: before the length its log probability is -inf, at the length it is 0 and all else is -inf.
    The search must allow the length: `SearchConfig(max_ratio=0, max_extra=length)`.

    Args:
        stepper: the model.
        lengths: for each sentence of `start` the tokens of its translation, its end symbol not counted; at least 1,
            since no translation is empty.
    """

    def __init__(self, stepper: Stepper, lengths: Sequence[int]) -> None:
        if min(lengths) < 1:
            raise ValueError("a translation has at least one token")
        self._stepper = stepper
        self._lengths = np.array(lengths, dtype=np.int64)
        self._length_N = self._lengths
        self._num_steps = 0

    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        """Encodes sentences, as many as there are lengths; see `Stepper.start`."""
        if len(sources) != len(self._lengths):
            raise ValueError(f"{len(sources)} sentences, but {len(self._lengths)} lengths")
        self._stepper.start(sources, num_candidates)
        self._length_N = self._lengths
        self._num_steps = 0

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Extends rows by one token each; see `Stepper.step`."""
        scores_NK, tokens_NK = self._stepper.step(tokens_N, order_N)
        self._length_N = self._length_N[order_N]
        ends_NK = tokens_NK == EOS
        is_last_N1 = (self._length_N <= self._num_steps)[:, None]
        forced_NK = np.where(ends_NK, np.float32(0.0), np.float32(-np.inf))
        free_NK = np.where(ends_NK, np.float32(-np.inf), scores_NK)
        scores_NK = np.where(is_last_N1, forced_NK, free_NK)
        best_NK = np.argsort(-scores_NK, axis=1, kind="stable")
        self._num_steps += 1
        return np.take_along_axis(scores_NK, best_NK, axis=1), np.take_along_axis(tokens_NK, best_NK, axis=1)
