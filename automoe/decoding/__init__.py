"""From token ids to translations: beam and greedy search over any `Stepper`."""

from automoe.decoding.beam import beam_search
from automoe.decoding.greedy import greedy_search
from automoe.decoding.hypothesis import Hypothesis, SearchConfig
from automoe.decoding.search import search
from automoe.decoding.stepper import Float32Array, Int64Array, Stepper
from automoe.decoding.symbols import BOS, EOS, PAD, UNK

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "UNK",
    "Float32Array",
    "Hypothesis",
    "Int64Array",
    "SearchConfig",
    "Stepper",
    "beam_search",
    "greedy_search",
    "search",
]
