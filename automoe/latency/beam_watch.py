"""`BeamWatch`: counts decoding steps, and in how many of them the hypotheses of a sentence differ.

Identical hypotheses would all go to the same expert and make a model with experts look faster than it is.

Shape suffixes: N hypotheses (rows), K candidates per row.
"""

from __future__ import annotations

from collections.abc import Sequence

from automoe.decoding import Float32Array, Int64Array, Stepper


class BeamWatch:
    """A `Stepper` that passes everything on and counts, over all sentences that are searched one at a time.

    Args:
        stepper: the model.
    """

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper
        self._rows: list[tuple[int, ...]] = []
        self._steps_with_beams = 0
        self._steps_that_differ = 0
        self.steps = 0
        """Calls of `step` so far."""

    @property
    def distinct_beams(self) -> float:
        """Share of the steps with several hypotheses in which no two are alike; 1 if there were none (greedy)."""
        return self._steps_that_differ / self._steps_with_beams if self._steps_with_beams else 1.0

    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        """Encodes one sentence; see `Stepper.start`."""
        if len(sources) != 1:
            raise ValueError("sentences are watched one at a time")
        self._rows = [()]
        self._stepper.start(sources, num_candidates)

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Extends rows by one token each; see `Stepper.step`."""
        pairs = zip(order_N.tolist(), tokens_N.tolist(), strict=True)
        self._rows = [(*self._rows[row], token) for row, token in pairs]
        self.steps += 1
        if len(self._rows) > 1:
            self._steps_with_beams += 1
            self._steps_that_differ += len(set(self._rows)) == len(self._rows)
        return self._stepper.step(tokens_N, order_N)
