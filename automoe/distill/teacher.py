"""`Teacher`: a finished model that only answers.

Shape suffixes: B sentences, S source length, L target length, V vocabulary.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from automoe.nn import Transformer
from automoe.nn.model_folder import read_model


class Teacher:
    """The largest sub-network of a trained model, in evaluation mode and without gradient.

    Args:
        transformer: the model. It is no part of what is trained, so it is kept out of any module's parameters.
    """

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer.eval().requires_grad_(False)

    @classmethod
    def read(cls, folder: Path) -> Teacher:
        """The teacher from a model folder; of a supernet that is its largest sub-network.

        Raises:
            OSError, ValueError, KeyError: as `nn.model_folder.read_model`.
        """
        return cls(read_model(folder))

    @property
    def vocab_size(self) -> int:
        """Size of the vocabulary that it was trained with."""
        return self._transformer.config.vocab_size

    @torch.no_grad()
    def logits(self, source_BS: Tensor, previous_BL: Tensor) -> Tensor:
        """Its scores `logits_BLV` of every target position, on the device of the batch."""
        if self._transformer.embedding.device != source_BS.device:
            self._transformer.to(source_BS.device)
        logits_BLV: Tensor = self._transformer(source_BS, previous_BL).logits_NLV
        return logits_BLV
