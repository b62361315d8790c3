"""`EncoderWatch`: how much of a model's time the encoder takes.

Shape suffixes: N hypotheses (rows), K candidates per row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from automoe.decoding import Float32Array, Int64Array, Stepper


class EncoderWatch:
    """A `Stepper` that passes everything on and adds up the time inside `start`, where sentences are encoded.

    Args:
        stepper: the model.
        clock: seconds, from any beginning. On a device that works on its own it waits for that device.
    """

    def __init__(self, stepper: Stepper, clock: Callable[[], float]) -> None:
        self._stepper, self._clock = stepper, clock
        self.seconds = 0.0
        """Spent encoding so far."""

    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        """Encodes sentences; see `Stepper.start`."""
        begin = self._clock()
        self._stepper.start(sources, num_candidates)
        self.seconds += self._clock() - begin

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Extends rows by one token each; see `Stepper.step`."""
        return self._stepper.step(tokens_N, order_N)
