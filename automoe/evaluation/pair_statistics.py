"""Rank statistics as sums over pairs of architectures, of one sample or of thousands of resamples at once.

Whether a pair is ordered alike does not change when architectures are drawn again; only how often it counts does. So
one matrix of signs serves all resamples, and a resample is the number of times that it holds each architecture.

Shape suffixes: N architectures, B resamples.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

KENDALL, SPEARMAN = "Kendall tau-b", "Spearman"
ACCURACY, CLEAR_ACCURACY = "pairwise accuracy", "pairwise accuracy, clear pairs"


def statistics_of(
    truth_N: FloatArray,
    candidate_N: FloatArray,
    counts_BN: FloatArray,
    *,
    pairs_NN: BoolArray,
    clear_NN: BoolArray | None = None,
) -> dict[str, FloatArray]:
    """How well a candidate orders architectures, in each resample; higher is better for both sides.

    An architecture makes no pair with a copy of itself. All of it looks only at the pairs of `pairs_NN`: "Kendall
    tau-b" over these pairs (Kendall 1945), "Spearman" as the correlation of ranks among the architectures that one
    makes pairs with (of all, or of those of the same group, less their mean), "pairwise accuracy" as the share of
    pairs that are ordered alike, those that are tied in the candidate counting half, and "pairwise accuracy, clear
    pairs" over those of `clear_NN`. A pair that is tied in the truth asks for no order, and counts in no accuracy.

    Args:
        truth_N: quality.
        candidate_N: what shall order the architectures as the quality does.
        counts_BN: how often each resample holds each architecture; ones for the sample itself.
        pairs_NN: pairs to look at, symmetric: all, or those within groups.
        clear_NN: pairs whose truth is beyond doubt, symmetric; without them there is no such statistic.

    Returns:
        An array of B values for each name. Correlations are 0 where the candidate is the same for all; NaN where the
        truth orders no pair.
    """
    truth_NN, candidate_NN = _signs(truth_N) * pairs_NN, _signs(candidate_N) * pairs_NN
    alike_NN, asked_NN = truth_NN * candidate_NN, np.abs(truth_NN)
    alike_B, asked_B = _sums(alike_NN, counts_BN), _sums(asked_NN, counts_BN)
    told_B = _sums(np.abs(candidate_NN), counts_BN)
    # Twice the mid-rank less the mean rank: how many lie below, less how many lie above.
    truth_rank_BN, candidate_rank_BN = counts_BN @ truth_NN.T, counts_BN @ candidate_NN.T
    ranks = (
        (truth_rank_BN, candidate_rank_BN),
        (truth_rank_BN, truth_rank_BN),
        (candidate_rank_BN, candidate_rank_BN),
    )
    both_B, truth_B, candidate_B = ((counts_BN * a_BN * b_BN).sum(axis=1) for a_BN, b_BN in ranks)
    found = {
        KENDALL: _correlation(alike_B, asked_B, told_B),
        SPEARMAN: _correlation(both_B, truth_B, candidate_B),
        ACCURACY: _accuracy(alike_B, asked_B),
    }
    if clear_NN is not None:
        found[CLEAR_ACCURACY] = _accuracy(
            _sums(alike_NN * clear_NN, counts_BN), _sums(asked_NN * clear_NN, counts_BN)
        )
    return found


def pairs_counted(truth_N: FloatArray, pairs_NN: BoolArray, clear_NN: BoolArray | None = None) -> Mapping[str, int]:
    """How many pairs the truth puts into order, for each statistic of `statistics_of`."""
    ordered_NN = (_signs(truth_N) != 0) & pairs_NN
    counted = dict.fromkeys((KENDALL, SPEARMAN, ACCURACY), int(ordered_NN.sum()) // 2)
    return counted if clear_NN is None else {**counted, CLEAR_ACCURACY: int((ordered_NN & clear_NN).sum()) // 2}


def _signs(values_N: FloatArray) -> FloatArray:
    """1 where the first of a pair is the higher one, -1 where it is the lower one, 0 for ties."""
    return np.sign(values_N[:, None] - values_N[None, :])


def _sums(pairs_NN: FloatArray, counts_BN: FloatArray) -> FloatArray:
    """Twice the sum over the pairs of each resample."""
    return ((counts_BN @ pairs_NN) * counts_BN).sum(axis=1)


def _correlation(both_B: FloatArray, truth_B: FloatArray, candidate_B: FloatArray) -> FloatArray:
    scale_B = np.sqrt(truth_B * candidate_B)
    value_B = np.divide(both_B, scale_B, out=np.zeros_like(both_B), where=scale_B > 0)
    return np.where(truth_B > 0, value_B, np.nan)


def _accuracy(alike_B: FloatArray, asked_B: FloatArray) -> FloatArray:
    """Alike pairs less the others, as a share of all, moved from -1..1 to 0..1: a tie then counts half."""
    return (1 + np.divide(alike_B, asked_B, out=np.full_like(alike_B, np.nan), where=asked_B > 0)) / 2
