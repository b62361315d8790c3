"""`Teacher`: a finished model that only answers, how likely each token is and what the translation would be.

Shape suffixes: B sentences, S source length, L target length, N rows (hypotheses), V vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from automoe.data import PreparedData
from automoe.data.batches import padded_batches
from automoe.decoding.symbols import EOS, PAD
from automoe.nn import TorchStepper, Transformer
from automoe.nn.model_folder import read_model
from automoe.nn.torch_stepper import ScoringStepper


class Teacher(Protocol):
    """What a student asks of whoever teaches it: a model, several, or one of another library."""

    @property
    def vocab_size(self) -> int:
        """Size of the vocabulary that it was trained with."""

    def logits(self, source_BS: Tensor, previous_BL: Tensor) -> Tensor:
        """Scores of every target position, whose softmax is the teacher's distribution.

        Args:
            source_BS: source ids, padded on the right.
            previous_BL: target ids shifted right (the end symbol first), padded on the right.

        Returns:
            `logits_BLV` without gradient, on the device of the batch.
        """

    def stepper(self) -> ScoringStepper:
        """The same model as the search sees it, with a memory of its own."""


class ModelTeacher:
    """The largest sub-network of a trained model, in evaluation mode and without gradient.

    Args:
        transformer: the model. It is no part of what is trained, so it is kept out of any module's parameters.
    """

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer.eval().requires_grad_(False)

    @classmethod
    def read(cls, folder: Path) -> ModelTeacher:
        """The teacher from a model folder; of a supernet that is its largest sub-network.

        Raises:
            OSError, ValueError, KeyError: as `nn.model_folder.read_model`.
        """
        return cls(read_model(folder))

    @property
    def vocab_size(self) -> int:
        """See `Teacher.vocab_size`."""
        return self._transformer.config.vocab_size

    @torch.no_grad()
    def logits(self, source_BS: Tensor, previous_BL: Tensor) -> Tensor:
        """See `Teacher.logits`."""
        if self._transformer.embedding.device != source_BS.device:
            self._transformer.to(source_BS.device)
        logits_BLV: Tensor = self._transformer(source_BS, previous_BL).logits_NLV
        return logits_BLV

    def stepper(self) -> TorchStepper:
        """See `Teacher.stepper`."""
        return TorchStepper(self._transformer)


def only_the_end(log_probs_NV: Tensor) -> Tensor:
    """The same scores of the end symbol, and minus infinity for all others: nothing else may follow."""
    others_V = torch.arange(log_probs_NV.shape[1], device=log_probs_NV.device) != EOS
    return log_probs_NV.masked_fill(others_V, -torch.inf)


@torch.inference_mode()
def validation_nll(
    teacher: Teacher,
    prepared: PreparedData,
    split: str = "valid",
    *,
    batch_tokens: int = 4096,
    device: str | torch.device = "cpu",
) -> float:
    """Mean negative log-likelihood of the references under teacher forcing: what a training logs as validation loss.

    Args:
        teacher: whose loss it is.
        prepared: the corpus.
        split: `train`, `valid` or `test`.
        batch_tokens: tokens scored together, paddings included, on the longer side.
        device: where the batches are put, and the teacher with them.

    Returns:
        Nats per token, end symbols counted.
    """
    nll, num_tokens = 0.0, 0
    for batch in padded_batches(prepared, split, batch_tokens):
        source_BS, previous_BL, target_BL = (torch.from_numpy(ids).to(device) for ids in batch)
        logits = teacher.logits(source_BS, previous_BL).flatten(0, 1).float()
        nll += float(F.cross_entropy(logits, target_BL.flatten(), ignore_index=PAD, reduction="sum"))
        num_tokens += int((target_BL != PAD).sum())
    return nll / num_tokens
