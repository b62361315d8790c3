"""`Stepper`: what a translation model shows to the search, whatever runs it (PyTorch, ONNX Runtime, ...).

Shape suffixes: N hypotheses (rows), K candidates per row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]


class Stepper(Protocol):
    """One model with the memory of the hypotheses that it is extending.

    The rows of a step are hypotheses. All rows of one sentence stand together, every sentence has the same
    number of rows, which changes after the first step only, and sentences keep their order; a sentence that is
    finished has no rows any more.
    """

    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        """Encodes sentences and forgets what came before. Afterwards there is one empty row per sentence.

        Args:
            sources: token ids of each sentence, its end-of-sentence symbol included, in any lengths.
            num_candidates: how many continuations each later `step` returns per row.
        """

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Extends hypotheses by one token each and proposes what may follow.

        Args:
            tokens_N: the token that each new row appends (the end-of-sentence symbol in the first step).
            order_N: for each new row the row of the step before that it continues; rows may be
                repeated, reordered or left out.

        Returns:
            `scores_NK` (natural log probabilities, best first) and `tokens_NK`. The end-of-sentence symbol is
            always among them: if it is not one of the K best, it takes the last place. K is smaller than
            `num_candidates` only if the vocabulary is.
        """
