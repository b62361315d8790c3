"""`TorchStepper`: a Transformer in PyTorch as the search sees it.

Shape suffixes: N rows (hypotheses), B sentences, S source length, K candidates, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from automoe.decoding.stepper import Float32Array, Int64Array
from automoe.decoding.symbols import EOS, PAD
from automoe.nn.transformer import DecoderState, Transformer
from automoe.space import Architecture, Placement


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
        device = self._transformer.embedding.device
        source_BS = np.full((len(sources), max(map(len, sources))), PAD, dtype=np.int64)
        for row, ids in enumerate(sources):
            source_BS[row, : len(ids)] = ids
        with _evaluating(self._transformer):
            source = self._transformer.encode(torch.from_numpy(source_BS).to(device), self._arch, self._placement)
            self._state = self._transformer.begin(source, self._arch)
        self._num_candidates = min(num_candidates, self._transformer.config.vocab_size)

    @torch.inference_mode()
    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Extends rows by one token each; see `Stepper.step`."""
        assert self._state is not None, "start() comes first"
        device = self._transformer.embedding.device
        state = self._reorder(self._state, order_N)
        token_N = torch.from_numpy(np.ascontiguousarray(tokens_N)).to(device)
        with _evaluating(self._transformer):
            logits_NV, self._state = self._transformer.step(token_N, state, self._arch, self._placement)
        log_probs_NV = logits_NV.float().log_softmax(dim=1)
        scores_NK, tokens_NK = log_probs_NV.topk(self._num_candidates, dim=1)
        # `where` and no selection of rows: their number would have to come back from the GPU in the midst of a step.
        has_end_N = (tokens_NK == EOS).any(dim=1)
        tokens_NK[:, -1] = torch.where(has_end_N, tokens_NK[:, -1], EOS)
        scores_NK[:, -1] = torch.where(has_end_N, scores_NK[:, -1], log_probs_NV[:, EOS])
        return scores_NK.cpu().numpy(), tokens_NK.cpu().numpy()

    def _reorder(self, state: DecoderState, order_N: Int64Array) -> DecoderState:
        num_sentences = state.source[0].key_BHSC.shape[0]
        past = state.past[0]
        num_rows = num_sentences if past is None else past.key_BHSC.shape[0]
        if np.array_equal(order_N, np.arange(num_rows)):
            return state
        device = self._transformer.embedding.device
        row_N = torch.from_numpy(np.ascontiguousarray(order_N)).to(device)
        kept_B = np.unique(order_N // (num_rows // num_sentences))  # rows of a sentence stand together
        if len(kept_B) == num_sentences:
            return state.select_rows(row_N)
        return state.select(row_N, torch.from_numpy(kept_B).to(device))


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
