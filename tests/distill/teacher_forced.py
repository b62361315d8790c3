"""`TeacherForced`: a stepper without a memory, which asks a teacher for the scores of whole prefixes at each step.

Shape suffixes: N rows (hypotheses), K candidates per row.
"""

import numpy as np
import torch

from automoe.nn.torch_stepper import best_candidates, padded_sources


class TeacherForced:
    """What the memory of a teacher's own stepper must change nothing of."""

    def __init__(self, teacher):
        self._teacher = teacher

    def start(self, sources, num_candidates):
        self._rows = [(source, ()) for source in sources]
        self._num_candidates = num_candidates

    def step(self, tokens_N, order_N):
        continued = [self._rows[row] for row in order_N]
        self._rows = [(source, (*prefix, token)) for (source, prefix), token in zip(continued, tokens_N, strict=True)]
        sources = torch.from_numpy(padded_sources([source for source, _ in self._rows]))
        prefixes = torch.from_numpy(np.array([prefix for _, prefix in self._rows]))
        last = self._teacher.logits(sources, prefixes)[:, -1]
        return best_candidates(last.float().log_softmax(dim=1), self._num_candidates)
