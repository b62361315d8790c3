"""`Profiler`: times architectures as they will be used, one sentence at a time, beside a reference.

A machine gets slower and faster while hundreds of models are timed: it heats up, neighbours come and go. So before
every sentence one and the same reference architecture translates it too, and what counts is how many times as long
the architecture took for the panel as the reference beside it. The median of these ratios over the passes, times
what the reference took at first, is the latency. On a shared 2-core machine under changing load the same model
measured again scattered by 36 % as the clock showed it, by 9 % with the ratio of the two medians, and by 6 % with the
median of the ratios (standard deviation, 8 architectures twice, 5 passes over 8 sentences).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from automoe.decoding import SearchConfig, Stepper, search
from automoe.latency.beam_watch import BeamWatch
from automoe.latency.config import ProfileConfig
from automoe.latency.measurement import Measurement
from automoe.latency.sentences import Panel
from automoe.space import Architecture

ExpertLoads = dict[str, list[float]]
"""Share of the tokens that each expert of a layer gets, by layer."""


class Profiler:
    """Measures the latency of architectures.

    Args:
        open_stepper: makes the model of an architecture, on as many threads as the configuration says.
        panel: the sentences, with the length of each translation.
        reference: the architecture that every other is timed beside; its model stays open.
        config: how many passes.
        beam: hypotheses that are followed, as many as will be in use.
        baseline_ms: what the reference took in the first measurement of the table that is being continued; None if
            the table is new: the first `measure` then sets it.
        clock: seconds, from any beginning.
    """

    def __init__(
        self,
        open_stepper: Callable[[Architecture], Stepper],
        panel: Panel,
        reference: Architecture,
        config: ProfileConfig,
        *,
        beam: int,
        baseline_ms: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._open_stepper, self._panel, self._config, self._clock = open_stepper, panel, config, clock
        self._beam = beam
        self._sources = [np.array(source, dtype=np.int64) for source in panel.sources]
        self._reference = open_stepper(reference)
        for index in range(len(panel)):  # the first pass of a model is slower than any later one
            self._translate(self._reference, index)
        self.baseline_ms = baseline_ms
        """What the reference took in the first measurement of the table, ms per sentence."""

    def measure(
        self, arch: Architecture, expert_loads: ExpertLoads | None = None, *, stepper: Stepper | None = None
    ) -> Measurement:
        """Times one architecture: a pass to warm up, then `repeats` passes beside the reference.

        Args:
            arch: the architecture.
            expert_loads: recorded in the measurement, if they are known.
            stepper: a model of this architecture that is to be timed, if not the one that `open_stepper` makes.
        """
        stepper = self._open_stepper(arch) if stepper is None else stepper
        watch = BeamWatch(stepper)
        for index in range(len(self._panel)):
            self._translate(watch, index)
        pass_ms = [self._timed_pass(stepper) for _ in range(self._config.repeats)]
        raw_ms = median(own_ms for _, own_ms in pass_ms)
        reference_ms = median(of_reference_ms for of_reference_ms, _ in pass_ms)
        ratios = [own_ms / of_reference_ms for of_reference_ms, own_ms in pass_ms]
        if self.baseline_ms is None:
            self.baseline_ms = reference_ms
        return Measurement(
            digest=arch.digest,
            architecture=arch.to_dict(),
            latency_ms=median(ratios) * self.baseline_ms,
            low_ms=min(ratios) * self.baseline_ms,
            high_ms=max(ratios) * self.baseline_ms,
            reference_ratio=median(ratios),
            raw_ms=raw_ms,
            reference_ms=reference_ms,
            repeats=self._config.repeats,
            steps=watch.steps,
            expert_loads=expert_loads,
            distinct_beams=watch.distinct_beams,
        )

    def _timed_pass(self, stepper: Stepper) -> tuple[float, float]:
        """Milliseconds per sentence of the reference and of the model, over the panel."""
        of_reference = own = 0.0
        for index in range(len(self._panel)):
            begin = self._clock()
            self._translate(self._reference, index)
            middle = self._clock()
            self._translate(stepper, index)
            own += self._clock() - middle
            of_reference += middle - begin
        return 1000 * of_reference / len(self._panel), 1000 * own / len(self._panel)

    def _translate(self, stepper: Stepper, index: int) -> None:
        length = self._panel.lengths[index]
        config = SearchConfig(beam=self._beam, max_ratio=0.0, max_extra=length, min_length=length)
        search(stepper, [self._sources[index]], config)
