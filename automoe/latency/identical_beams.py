"""`IdenticalBeams`: lets a model see all hypotheses of a sentence alike, to tell what that does to its latency.

A random or untrained model that is searched carelessly keeps a beam of equal hypotheses. They all go to the same
expert of each layer, so that a step runs one expert and not several. AutoMoE (Jawahar et al. 2023) was timed so.

Shape suffixes: N hypotheses (rows), S sentences still going on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automoe.decoding import Float32Array, Int64Array, Stepper


class IdenticalBeams:
    """A `Stepper` that gives the model the first hypothesis of a sentence in place of each of its hypotheses.

    The search goes on with as many rows and candidates as ever; where it stops at a given length, after as many
    steps. What it finds is of no use.

    Args:
        stepper: the model.
    """

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper
        self._rows_per_sentence = 1

    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        """Encodes sentences; see `Stepper.start`."""
        self._rows_per_sentence = 1
        self._stepper.start(sources, num_candidates)

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Extends rows by one token each; see `Stepper.step`."""
        sentence_N = order_N // self._rows_per_sentence
        _, first_S, place_N = np.unique(sentence_N, return_index=True, return_inverse=True)
        self._rows_per_sentence = len(order_N) // len(first_S)
        first_N = first_S[place_N]
        return self._stepper.step(tokens_N[first_N], order_N[first_N])
