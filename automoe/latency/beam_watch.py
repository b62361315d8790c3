"""`BeamWatch`: counts decoding steps, and in how many of them the hypotheses of a sentence differ.

Identical hypotheses would all go to the same expert and make a model with experts look faster than it is.

Shape suffixes: N hypotheses (rows), K candidates per row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from automoe.decoding import Float32Array, Int64Array, Stepper


class BeamWatch:
    """A `Stepper` that passes everything on and counts, over all that is searched with it.

    Args:
        stepper: the model.
    """

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper
        self._rows: list[tuple[int, ...]] = []
        """The sentence of each row, then its tokens."""
        self._beams = 0
        self._beams_that_differ = 0
        self.steps = 0
        """Calls of `step` so far."""

    @property
    def distinct_beams(self) -> float:
        """Share of the steps of sentences with several hypotheses in which no two of them are alike; 1 if there were
        no such steps (greedy)."""
        return self._beams_that_differ / self._beams if self._beams else 1.0

    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        """Encodes sentences; see `Stepper.start`."""
        self._rows = [(sentence,) for sentence in range(len(sources))]
        self._stepper.start(sources, num_candidates)

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Extends rows by one token each; see `Stepper.step`."""
        pairs = zip(order_N.tolist(), tokens_N.tolist(), strict=True)
        self._rows = [(*self._rows[row], token) for row, token in pairs]
        self.steps += 1
        beams = defaultdict(list)
        for row in self._rows:
            beams[row[0]].append(row)
        for beam in beams.values():
            if len(beam) > 1:
                self._beams += 1
                self._beams_that_differ += len(set(beam)) == len(beam)
        return self._stepper.step(tokens_N, order_N)
