"""Several teachers as one: the mean of their distributions.

Shape suffixes: B sentences, S source length, L target length, N rows (hypotheses), K candidates, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from automoe.decoding.stepper import Float32Array, Int64Array
from automoe.distill.longest import longest_of
from automoe.distill.teacher import Teacher, only_the_end
from automoe.errors import TrainingError
from automoe.nn.torch_stepper import ScoringStepper, best_candidates


class EnsembleTeacher:
    """Teaches the mean of its members' probabilities, which is never worse than the mean of their losses.

    Args:
        members: at least one, all of one vocabulary.

    Raises:
        TrainingError: their vocabularies differ in size.
    """

    def __init__(self, members: Sequence[Teacher]) -> None:
        sizes = [member.vocab_size for member in members]
        if len(set(sizes)) != 1:
            raise TrainingError(
                f"teachers of one vocabulary can teach together, these have {', '.join(map(str, sizes))} pieces",
                key="teacher.models",
                hint="Name models that were trained on the same prepared corpus",
            )
        self._members = tuple(members)

    @property
    def vocab_size(self) -> int:
        """See `Teacher.vocab_size`."""
        return self._members[0].vocab_size

    @torch.no_grad()
    def logits(self, source_BS: Tensor, previous_BL: Tensor) -> Tensor:
        """The logarithm of the mean probability, in at least float32; see `Teacher.logits`."""
        return log_mean(_log_softmax(member.logits(source_BS, previous_BL)) for member in self._members)

    def stepper(self) -> EnsembleStepper:
        """See `Teacher.stepper`."""
        return EnsembleStepper([member.stepper() for member in self._members])


class EnsembleStepper:
    """Extends hypotheses by the mean of its members' probabilities at every step (see `automoe.decoding.Stepper`).

    A translation ends where the first of its members knows no further position.

    Args:
        members: at least one, each with a memory of its own.
    """

    def __init__(self, members: Sequence[ScoringStepper]) -> None:
        self._members = tuple(members)
        self._num_candidates = self._length = 0

    @property
    def longest(self) -> int | None:
        """See `BoundedStepper.longest`: the least of its members'."""
        return longest_of(self._members)

    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        """Encodes sentences in every member; see `Stepper.start`."""
        for member in self._members:
            member.start(sources, num_candidates)
        self._num_candidates, self._length = num_candidates, 0

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Extends rows by one token each; see `Stepper.step`."""
        return best_candidates(self.log_probs(tokens_N, order_N), self._num_candidates)

    @torch.inference_mode()
    def log_probs(self, tokens_N: Int64Array, order_N: Int64Array) -> Tensor:
        """Extends rows by one token each; see `ScoringStepper.log_probs`."""
        self._length += 1
        mean_NV = log_mean(member.log_probs(tokens_N, order_N) for member in self._members)
        return only_the_end(mean_NV) if self._length == self.longest else mean_NV


def log_mean(log_probs: Iterable[Tensor]) -> Tensor:
    """The logarithm of the mean of probabilities, element by element, computed from their logarithms.

    Args:
        log_probs: at least one tensor, all of one shape. The mean of a single one is that one, to the last bit.
    """
    tensors = list(log_probs)
    if len(tensors) == 1:
        return tensors[0]
    return torch.logsumexp(torch.stack(tensors), dim=0) - math.log(len(tensors))


def _log_softmax(logits_V: Tensor) -> Tensor:
    return logits_V.to(torch.promote_types(logits_V.dtype, torch.float32)).log_softmax(dim=-1)
