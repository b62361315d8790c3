"""Guesses the loss of architectures from those evaluated so far, so that of many children the best are evaluated.

A ridge regression on the logarithm of each gene: crude, but fitted in a millisecond, and it only has to tell the
better half of the children from the worse. The archive holds evaluated losses alone, never a guess.

Shape suffixes: N known genomes, M new genomes, G genes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automoe.search.evaluator import Floats
from automoe.search.record import Record
from automoe.space import Architecture, GenomeCodec

_SHRINKAGE = 10.0
"""Added to the variance of each standardised gene, summed over N: as good as 3 or 30 on formulas that were tried."""
_DECIMALS = 6
"""A guess is rounded, so that the last bits of a matrix product, which differ between machines, decide nothing."""


def guess_losses(codec: GenomeCodec, records: Sequence[Record], archs: Sequence[Architecture]) -> Floats:
    """The guessed losses of `archs`, float64 of shape (M,); for people they mean nothing, their order does."""
    if not archs:
        return np.zeros(0)
    known_NG, new_MG = _features(codec, [record.arch for record in records]), _features(codec, archs)
    loss_N = np.array([record.loss for record in records])
    mean_G, scale_G = known_NG.mean(axis=0), known_NG.std(axis=0)
    varies_G = known_NG.min(axis=0) < known_NG.max(axis=0)
    known_NG = (known_NG - mean_G)[:, varies_G] / scale_G[varies_G]
    new_MG = (new_MG - mean_G)[:, varies_G] / scale_G[varies_G]
    gram_GG = known_NG.T @ known_NG + _SHRINKAGE * np.eye(known_NG.shape[1])
    weight_G = np.linalg.solve(gram_GG, known_NG.T @ (loss_N - loss_N.mean()))
    return np.round(loss_N.mean() + new_MG @ weight_G, _DECIMALS)


def _features(codec: GenomeCodec, archs: Sequence[Architecture]) -> Floats:
    """Twice as wide helps as much at any width; what is absent is 0."""
    return np.log1p(np.stack([codec.encode(arch) for arch in archs]).astype(np.float64))
