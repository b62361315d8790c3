"""The best tokens of each row, and their log probabilities where only a shortlist is scored, as nodes.

The best K of a large vocabulary are searched in two stages: the best K blocks by their maxima, which hold the best K
tokens, then the best K tokens of these blocks. That reads most scores once, in wide loads, where a heap over all of
them does not.

Shape suffixes: N rows, V vocabulary, K candidates per row, M blocks, U tokens of a block,
R sampled tokens.
"""

from __future__ import annotations

import math

import numpy as np

from automoe.decoding.shortlist import SHORTLIST_SAMPLE
from automoe.export.graphs.builder import GraphBuilder

_LEAST_BLOCKS = 16
"""A vocabulary that cannot be cut into more is searched at once."""


def best_candidates(g: GraphBuilder, score_NV: str, num_candidates: str, vocab_size: int | None) -> tuple[str, str]:
    """The K highest scores of each row and their tokens, highest first.

    Args:
        g: the graph.
        score_NV: scores.
        num_candidates: K, an int64 [1] of at most V.
        vocab_size: V; None if it varies.

    Returns:
        `score_NK`, `token_NK` (int64).
    """
    block = 0 if vocab_size is None else block_size(vocab_size)
    if not block:
        score_NK, token_NK = g.nodes("TopK", score_NV, num_candidates, outputs=2, axis=-1)
        return score_NK, token_NK
    assert vocab_size is not None
    num_blocks = vocab_size // block
    score_NMU = g.node("Reshape", score_NV, g.constant([-1, num_blocks, block]))
    top_NM = g.node("ReduceMax", score_NMU, g.constant([2]), keepdims=0)
    count = g.node("Min", num_candidates, g.constant([num_blocks]))
    _, block_NM = g.nodes("TopK", top_NM, count, outputs=2, axis=-1)
    chosen_NMU = g.node("GatherND", score_NMU, g.node("Unsqueeze", block_NM, g.constant([2])), batch_dims=1)
    score_NK, place_NK = g.nodes("TopK", g.node("Flatten", chosen_NMU, axis=1), num_candidates, outputs=2, axis=-1)
    block_NK = g.node("GatherElements", block_NM, g.node("Div", place_NK, g.constant(block)), axis=1)
    within_NK = g.node("Mod", place_NK, g.constant(block))
    return score_NK, g.node("Add", g.node("Mul", block_NK, g.constant(block)), within_NK)


def shortlist_scores(g: GraphBuilder, logits_NV: str) -> str:
    """Log probabilities over the whole vocabulary of the tokens of a shortlist.

    Normalised over the list alone they would be too high where the model is undecided, which misleads a beam. The
    mass of all other tokens is estimated from a sample of them, the last `SHORTLIST_SAMPLE` columns, as if their
    logits were normally distributed: log(others * E[exp(logit)]) = log(others) + mean + variance / 2.

    Input: `log_others` (float32 [1], logarithm of the number of tokens that are not listed; -inf if there are none).

    Args:
        g: the graph.
        logits_NV: logits of the listed tokens and then of the sample.

    Returns:
        `score_NV`, without the sample.
    """
    log_others = g.input("log_others", np.float32, (1,))
    ends, axis = g.constant([-SHORTLIST_SAMPLE]), g.constant([1])
    listed_NV = g.node("Slice", logits_NV, g.constant([0]), ends, axis)
    sample_NR = g.node("Slice", logits_NV, ends, g.constant([np.iinfo(np.int64).max]), axis)
    mean_N1 = g.node("ReduceMean", sample_NR, axis, keepdims=1)
    offset_NR = g.node("Sub", sample_NR, mean_N1)
    variance_N1 = g.node("ReduceMean", g.node("Mul", offset_NR, offset_NR), axis, keepdims=1)
    half_N1 = g.node("Mul", variance_N1, g.constant(0.5, np.float32))
    others_N1 = g.node("Add", g.node("Add", mean_N1, half_N1), log_others)
    score_NV = g.node("LogSoftmax", listed_NV, axis=-1)
    first = (g.constant([0]), axis, axis)
    listed_N1 = g.node("Sub", g.node("Slice", listed_NV, *first), g.node("Slice", score_NV, *first))  # log of the sum
    return g.node("Sub", score_NV, g.node("Softplus", g.node("Sub", others_N1, listed_N1)))


def block_size(vocab_size: int) -> int:
    """The divisor of the vocabulary's size that is nearest to its root, on a logarithmic scale; 0 if none will do."""
    sizes = np.arange(1, vocab_size // _LEAST_BLOCKS + 1)
    sizes = sizes[(vocab_size % sizes == 0) & (sizes >= _LEAST_BLOCKS)]
    if not len(sizes):
        return 0
    return int(sizes[np.abs(np.log(sizes / math.sqrt(vocab_size))).argmin()])
