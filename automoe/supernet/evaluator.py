"""`SupernetEvaluator`: what a sub-transformer with the supernet's weights is worth, without training it.

Shape suffixes: B sentences, S source length, L target length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from automoe.data import PreparedData
from automoe.data.batches import padded_batches
from automoe.decoding.symbols import PAD
from automoe.nn import Transformer
from automoe.nn.expert_loads import ExpertLoads, expert_loads
from automoe.space import Architecture
from automoe.supernet.placement import supernet_placement


class ValidationBatch(NamedTuple):
    """Token ids of some sentence pairs, padded on the right."""

    source_BS: Tensor
    previous_BL: Tensor
    """The target shifted right: what the decoder reads."""
    target_BL: Tensor


def validation_batches(
    prepared: PreparedData, split: str = "valid", max_tokens: int = 4096, limit: int | None = None
) -> tuple[ValidationBatch, ...]:
    """A split as padded batches for the evaluator; the arguments are those of `data.batches.padded_batches`."""
    return tuple(
        ValidationBatch(*map(torch.from_numpy, batch)) for batch in padded_batches(prepared, split, max_tokens, limit)
    )


class SupernetEvaluator:
    """Scores architectures with inherited weights, on the experts that `supernet_placement` says.

    Args:
        transformer: the trained supernet; it is put into evaluation mode.
        batches: the sentence pairs to score, on the model's device.
    """

    def __init__(self, transformer: Transformer, batches: Sequence[ValidationBatch]) -> None:
        self._transformer = transformer.eval()
        self._batches = tuple(batches)

    @torch.inference_mode()
    def loss(self, arch: Architecture) -> float:
        """Negative log-likelihood of the targets under teacher forcing, in nats per token.

        Raises:
            SpaceError: the architecture is no slice of the supernet.
        """
        placement = supernet_placement(arch)
        nll, num_tokens = 0.0, 0
        for source_BS, previous_BL, target_BL in self._batches:
            decoded = self._transformer(source_BS, previous_BL, arch, placement)
            logits = decoded.logits_NLV.flatten(0, 1).float()
            nll += float(F.cross_entropy(logits, target_BL.flatten(), ignore_index=PAD, reduction="sum"))
            num_tokens += int((target_BL != PAD).sum())
        return nll / num_tokens

    def loads(self, arch: Architecture) -> ExpertLoads:
        """How many tokens each expert of the extracted sub-transformer processes, by (side, layer index)."""
        model = self._transformer.extract(arch, supernet_placement(arch))
        return expert_loads(model, ((batch.source_BS, batch.previous_BL) for batch in self._batches))
