"""`TorchStepper`: a Transformer in PyTorch as the search sees it.

Shape suffixes: N rows (hypotheses), B sentences, S source length, K candidates, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from automoe.decoding.stepper import Float32Array, Int64Array, Stepper
from automoe.decoding.symbols import EOS, PAD
from automoe.nn.transformer import DecoderState, Transformer
from automoe.space import Architecture, Placement


class ScoringStepper(Stepper, Protocol):
    """A stepper that can also be asked for the score of every token, so that several can be averaged."""

    def log_probs(self, tokens_N: Int64Array, order_N: Int64Array) -> Tensor:
        """Extends hypotheses as `step` does; returns `log_probs_NV` in float32, before candidates are chosen."""


class TorchStepper:
    """Extends hypotheses with a Transformer (see `automoe.decoding.Stepper`).

    Args:
        transformer: the model, on any device and in any precision; if it is in training mode, it is put into
            evaluation mode for each call and back after it.
        arch: the architecture to use; by default the model's largest.
        placement: the experts to use; by default the first ones.
    """

    def __init__(
        self, transformer: Transformer, arch: Architecture | None = None, placement: Placement | None = None
    ) -> None:
        self._transformer = transformer
        self._arch, self._placement = transformer.resolve(arch, placement)
        self._state: DecoderState | None = None
        self._num_candidates = 0

    @torch.inference_mode()
    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        """Encodes sentences (id arrays of any lengths); see `Stepper.start`."""
        source_BS = torch.from_numpy(padded_sources(sources)).to(self._transformer.embedding.device)
        with _evaluating(self._transformer):
            source = self._transformer.encode(source_BS, self._arch, self._placement)
            self._state = self._transformer.begin(source, self._arch)
        self._num_candidates = num_candidates

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Extends rows by one token each; see `Stepper.step`."""
        return best_candidates(self.log_probs(tokens_N, order_N), self._num_candidates)

    @torch.inference_mode()
    def log_probs(self, tokens_N: Int64Array, order_N: Int64Array) -> Tensor:
        """Extends rows by one token each; see `ScoringStepper.log_probs`."""
        assert self._state is not None, "start() comes first"
        device = self._transformer.embedding.device
        state = self._reorder(self._state, order_N)
        token_N = torch.from_numpy(np.ascontiguousarray(tokens_N)).to(device)
        with _evaluating(self._transformer):
            logits_NV, self._state = self._transformer.step(token_N, state, self._arch, self._placement)
        return logits_NV.float().log_softmax(dim=1)

    def _reorder(self, state: DecoderState, order_N: Int64Array) -> DecoderState:
        num_sentences = state.source[0].key_BHSC.shape[0]
        past = state.past[0]
        num_rows = num_sentences if past is None else past.key_BHSC.shape[0]
        if np.array_equal(order_N, np.arange(num_rows)):
            return state
        device = self._transformer.embedding.device
        row_N = torch.from_numpy(np.ascontiguousarray(order_N)).to(device)
        kept_B = kept_sentences(order_N, num_rows, num_sentences)
        if len(kept_B) == num_sentences:
            return state.select_rows(row_N)
        return state.select(row_N, torch.from_numpy(kept_B).to(device))


def padded_sources(sources: Sequence[Int64Array]) -> Int64Array:
    """Sentences (id arrays of any lengths) as one array `source_BS`, padded on the right."""
    source_BS = np.full((len(sources), max(map(len, sources))), PAD, dtype=np.int64)
    for row, ids in enumerate(sources):
        source_BS[row, : len(ids)] = ids
    return source_BS


def kept_sentences(order_N: Int64Array, num_rows: int, num_sentences: int) -> Int64Array:
    """Which sentences still have rows after a step.

    Args:
        order_N: for each new row the row that it continues.
        num_rows: rows before the step; those of a sentence stand together and are as many for each.
        num_sentences: sentences before the step.

    Returns:
        Their indices in ascending order.
    """
    return np.unique(order_N // (num_rows // num_sentences))


@torch.inference_mode()
def best_candidates(log_probs_NV: Tensor, num_candidates: int) -> tuple[Float32Array, Int64Array]:
    """The likeliest tokens of each row as `Stepper.step` returns them, the end symbol always among them.

    Args:
        log_probs_NV: score of every token.
        num_candidates: how many are wanted; a smaller vocabulary gives fewer.

    Returns:
        `scores_NK`, best first, and `tokens_NK`.
    """
    scores_NK, tokens_NK = log_probs_NV.topk(min(num_candidates, log_probs_NV.shape[1]), dim=1)
    # `where` and no selection of rows: their number would have to come back from the GPU in the midst of a step.
    has_end_N = (tokens_NK == EOS).any(dim=1)
    tokens_NK[:, -1] = torch.where(has_end_N, tokens_NK[:, -1], EOS)
    scores_NK[:, -1] = torch.where(has_end_N, scores_NK[:, -1], log_probs_NV[:, EOS])
    return scores_NK.cpu().numpy(), tokens_NK.cpu().numpy()


@contextmanager
def _evaluating(transformer: Transformer) -> Iterator[None]:
    """Dropout off within the block. A model that evaluates already is left alone: setting the mode visits every
    module, which takes as long as half a step of a small model."""
    if not transformer.training:
        yield
        return
    transformer.eval()
    try:
        yield
    finally:
        transformer.train()
