"""`OutputTable`: the rows of the output layer that a shortlist leaves.

Shape suffixes: V vocabulary, C listed tokens, R sampled tokens that are not listed, D model dim.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from automoe.bundle import SCALE, Tensors
from automoe.decoding.shortlist import SHORTLIST_SAMPLE, Shortlist
from automoe.decoding.stepper import Int64Array
from automoe.decoding.symbols import BOS, EOS, PAD

_TABLE = "embedding"


class OutputTable:
    """Picks the rows of the embedding table, which is the output layer too, for the sources of a batch.

    Args:
        tensors: the weights, in float32 or in 8 bits with scales.
        dim: the decoder's dimension: the first columns of the table.
        shortlist: which tokens may follow.
    """

    def __init__(self, tensors: Tensors, dim: int, shortlist: Shortlist) -> None:
        self._table_VD = tensors[_TABLE][:, :dim]
        self._scale_V = tensors.get(_TABLE + SCALE)
        self._shortlist = shortlist
        self._produced = np.setdiff1d(np.arange(shortlist.vocab_size), [BOS, PAD])  # these two never follow

    def rows(self, sources: Sequence[Int64Array]) -> tuple[Int64Array, dict[str, npt.NDArray[np.generic]]]:
        """The listed tokens, ascending, and the inputs of the graph `decoder_shortlist` that say what they weigh."""
        listed_C = self._shortlist.tokens(sources)
        unlisted = np.setdiff1d(self._produced, listed_C, assume_unique=True)
        if len(unlisted):  # evenly spaced, so that frequent and rare ones are among them
            sample_R = unlisted[np.linspace(0, len(unlisted) - 1, SHORTLIST_SAMPLE).astype(np.int64)]
            log_others = np.log(np.float32(len(unlisted)))
        else:
            sample_R, log_others = np.full(SHORTLIST_SAMPLE, EOS), np.float32(-np.inf)
        used = np.concatenate([listed_C, sample_R])
        feeds: dict[str, npt.NDArray[np.generic]] = {
            "end": np.searchsorted(listed_C, [EOS]),
            "log_others": np.array([log_others], dtype=np.float32),
        }
        if self._scale_V is None:
            feeds["output_VD"] = self._table_VD[used]
        else:
            feeds["output_DV"] = np.ascontiguousarray(self._table_VD[used].T)
            feeds["output_scale_V"] = self._scale_V[used]
        return listed_C, feeds
