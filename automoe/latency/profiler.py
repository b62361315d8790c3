"""`Profiler`: times architectures as they will be used, beside a reference.

A machine gets slower and faster while hundreds of models are timed: it heats up, neighbours come and go. So before
every batch of sentences one and the same reference architecture translates it too, and what counts is how many times
as long the architecture took for all sentences as the reference beside it. The median of these ratios over the
passes, times what the reference took at first, is the latency. Passes go on until that median is known well enough,
or a limit is reached.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np

from automoe.decoding import Int64Array, SearchConfig, Stepper, search
from automoe.latency.beam_watch import BeamWatch
from automoe.latency.clock import clock_for
from automoe.latency.config import ProfileConfig
from automoe.latency.encoder_watch import EncoderWatch
from automoe.latency.forced_length import ForcedLength
from automoe.latency.measurement import Measurement
from automoe.latency.median_interval import half_width
from automoe.latency.sentences import Panel
from automoe.space import Architecture

ExpertLoads = dict[str, list[float]]
"""Share of the tokens that each expert of a layer gets, by layer."""
_FEW_DISTINCT_BEAMS = 0.5
"""Below this share of distinct beams a model with experts is timed with too few of them at work."""


class _Batch(NamedTuple):
    """Sentences that are translated together."""

    sources: list[Int64Array]
    lengths: list[int]
    """Tokens of each translation, its end symbol not counted."""


class _Pass(NamedTuple):
    """Seconds of one pass over all sentences."""

    reference: float
    own: float
    encoder: float
    """What of `own` the encoder took."""

    @property
    def ratio(self) -> float:
        """How many times as long as the reference."""
        return self.own / self.reference


class Profiler:
    """Measures the latency of architectures.

    Args:
        open_stepper: makes the model of an architecture, on as many threads as the configuration says.
        panel: the sentences, with the length of each translation.
        reference: the architecture that every other is timed beside; its model stays open.
        config: how many sentences together, and how many passes.
        beam: hypotheses that are followed, as many as will be in use.
        baseline_ms: what the reference took in the first measurement of the table that is being continued; None if
            the table is new: the first `measure` then sets it.
        clock: seconds, from any beginning; by default that of `clock_for` the configuration's device.
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
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._open_stepper, self._config = open_stepper, config
        self._clock = clock_for(config.device, config.threads) if clock is None else clock
        self._beam = beam
        self._batches = _batches(panel, config.batch)
        self._num_sentences = len(panel)
        self._warned = False
        self._reference = open_stepper(reference)
        self._warm_up(self._reference)
        self.baseline_ms = baseline_ms
        """What the reference took in the first measurement of the table, ms per sentence."""

    def measure(
        self, arch: Architecture, expert_loads: ExpertLoads | None = None, *, stepper: Stepper | None = None
    ) -> Measurement:
        """Times one architecture: a pass to warm up, then passes beside the reference.

        They end as soon as there are `repeats` of them and the median of their ratios is known to `tolerance` (see
        `median_interval.half_width`), at the latest after `max_repeats`.

        Args:
            arch: the architecture.
            expert_loads: recorded in the measurement, if they are known.
            stepper: a model of this architecture that is to be timed, if not the one that `open_stepper` makes.
        """
        stepper = self._open_stepper(arch) if stepper is None else stepper
        watch = BeamWatch(stepper)
        self._warm_up(watch)
        self._warn_of_alike_beams(arch, watch.distinct_beams)
        passes, spread = self._passes(stepper)
        reference_ms = self._per_sentence_ms(median(each.reference for each in passes))
        if self.baseline_ms is None:
            self.baseline_ms = reference_ms
        ratios = [each.ratio for each in passes]
        latency_ms = median(ratios) * self.baseline_ms
        return Measurement(
            digest=arch.digest,
            architecture=arch.to_dict(),
            latency_ms=latency_ms,
            encoder_ms=median(each.encoder / each.own for each in passes) * latency_ms,
            low_ms=min(ratios) * self.baseline_ms,
            high_ms=max(ratios) * self.baseline_ms,
            spread=spread,
            reference_ratio=median(ratios),
            raw_ms=self._per_sentence_ms(median(each.own for each in passes)),
            reference_ms=reference_ms,
            repeats=len(passes),
            steps=watch.steps,
            expert_loads=expert_loads,
            distinct_beams=watch.distinct_beams,
        )

    def _passes(self, stepper: Stepper) -> tuple[list[_Pass], float | None]:
        """Passes until they are enough, and the spread that they ended with."""
        config, spread = self._config, None
        passes: list[_Pass] = []
        while len(passes) < config.max_repeats:
            passes.append(self._timed_pass(stepper))
            spread = half_width([each.ratio for each in passes])
            if len(passes) >= config.repeats and spread is not None and spread <= config.tolerance:
                break
        return passes, spread

    def _timed_pass(self, stepper: Stepper) -> _Pass:
        reference = own = 0.0
        watch = EncoderWatch(stepper, self._clock)
        for batch in self._batches:
            begin = self._clock()
            self._translate(self._reference, batch)
            middle = self._clock()
            self._translate(watch, batch)
            own += self._clock() - middle
            reference += middle - begin
        return _Pass(reference, own, watch.seconds)

    def _warm_up(self, stepper: Stepper) -> None:
        for batch in self._batches:  # the first pass of a model is slower than any later one
            self._translate(stepper, batch)

    def _translate(self, stepper: Stepper, batch: _Batch) -> None:
        longest = max(batch.lengths)
        if len(batch.lengths) == 1:
            config = SearchConfig(beam=self._beam, max_ratio=0.0, max_extra=longest, min_length=longest)
        else:  # the search has limits for all sentences alike
            stepper = ForcedLength(stepper, batch.lengths)
            config = SearchConfig(beam=self._beam, max_ratio=0.0, max_extra=longest)
        search(stepper, batch.sources, config)

    def _per_sentence_ms(self, seconds_of_pass: float) -> float:
        return 1000 * seconds_of_pass / self._num_sentences

    def _warn_of_alike_beams(self, arch: Architecture, distinct_beams: float) -> None:
        has_experts = any(layer.num_experts > 1 for _, _, layer in arch.layers())
        if self._warned or self._beam == 1 or not has_experts or distinct_beams >= _FEW_DISTINCT_BEAMS:
            return
        self._warned = True
        print(
            f"{arch.digest}: the hypotheses of a sentence differ in {100 * distinct_beams:.0f} % of the decoding "
            "steps only: alike, they go to the same experts, so latencies of models with experts come out too low",
            file=sys.stderr,
            flush=True,
        )


def _batches(panel: Panel, size: int) -> list[_Batch]:
    """The sentences, `size` of like source length together, as `translate` does it."""
    by_length = sorted(range(len(panel)), key=lambda index: len(panel.sources[index]))
    return [
        _Batch(
            sources=[np.array(panel.sources[index], dtype=np.int64) for index in by_length[first : first + size]],
            lengths=[panel.lengths[index] for index in by_length[first : first + size]],
        )
        for first in range(0, len(panel), size)
    ]
