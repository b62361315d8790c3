"""`search`: the one entry to beam and greedy search."""

from __future__ import annotations

from collections.abc import Sequence

from automoe.decoding.beam import beam_search
from automoe.decoding.greedy import greedy_search
from automoe.decoding.hypothesis import Hypothesis, SearchConfig
from automoe.decoding.stepper import Int64Array, Stepper


def search(stepper: Stepper, sources: Sequence[Int64Array], config: SearchConfig) -> list[list[Hypothesis]]:
    """Translates sentences of token ids, greedily if the beam is 1.

    Args:
        stepper: the model.
        sources: token ids of each sentence, its end symbol included.
        config: beam, length penalty and limits of the length.

    Returns:
        For each sentence, in the order of `sources`, up to `beam` finished hypotheses, best first.
    """
    if config.beam == 1:
        return [[hypothesis] for hypothesis in greedy_search(stepper, sources, config)]
    return beam_search(stepper, sources, config)
