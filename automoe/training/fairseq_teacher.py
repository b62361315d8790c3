"""`FairseqTeacher`: fairseq's own `transformer` as a teacher, in the vocabulary of the corpus.

fairseq computes everything, so each of its options means what it means there. Its dictionaries may hold the corpus's
symbols in another order. On which side a source is padded makes no difference to it: it counts positions from the
first token, so `left_pad_source` need not be obeyed.

Shape suffixes: B sentences, S source length, L target length, N rows (hypotheses), K candidates, V vocabulary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from fairseq.data import Dictionary
from fairseq.modules import LearnedPositionalEmbedding, MultiheadAttention
from torch import Tensor, nn

from automoe.decoding.stepper import Float32Array, Int64Array
from automoe.distill.teacher import only_the_end
from automoe.errors import TrainingError
from automoe.nn.torch_stepper import best_candidates, kept_sentences, padded_sources
from automoe.training.checkpoint_file import CheckpointFile
from automoe.training.stock_checkpoint import build_stock, read_dictionaries

_FILLER = re.compile(r"madeupword\d{4}")
"""Symbols that fairseq-preprocess adds, so that the size of a dictionary is a multiple of 8."""
_SHOWN = 3


class FairseqTeacher:
    """A teacher of another library, in evaluation mode and without gradient.

    Args:
        checkpoint: of one of `stock_checkpoint.ARCHITECTURES`, beside its dictionaries.
        pieces: the corpus's vocabulary.

    Raises:
        TrainingError: it cannot be built, or its dictionaries hold other symbols.
    """

    def __init__(self, checkpoint: CheckpointFile, pieces: Sequence[str]) -> None:
        dictionaries = read_dictionaries(checkpoint)
        ids = [_ids_of(pieces, dictionary, checkpoint) for dictionary in dictionaries]
        self._model = _StockModel(build_stock(checkpoint, *dictionaries), *ids)

    @property
    def vocab_size(self) -> int:
        """Size of the corpus's vocabulary; see `Teacher.vocab_size`."""
        return len(self._model.target_ids_V)

    @property
    def longest(self) -> tuple[float, float]:
        """Tokens of the longest source and of the longest target that it has positions for; infinity if for all."""
        return self._model.longest_source, self._model.longest_target

    @torch.no_grad()
    def logits(self, source_BS: Tensor, previous_BL: Tensor) -> Tensor:
        """See `Teacher.logits`; a symbol that only fairseq's dictionary has is left out."""
        if self._model.device != source_BS.device:
            self._model.to(source_BS.device)
        return self._model.decode(previous_BL, self._model.encode(source_BS))

    def stepper(self) -> FairseqStepper:
        """See `Teacher.stepper`."""
        return FairseqStepper(self._model)


class FairseqStepper:
    """Extends hypotheses with fairseq's incremental decoding (see `automoe.decoding.Stepper`).

    A translation ends at the last position that the model knows, as in fairseq's own search.
    """

    def __init__(self, model: _StockModel) -> None:
        self._model = model
        self._encoded: Any = None
        self._state: dict[str, Any] = {}
        self._num_sentences = self._num_rows = self._length = self._num_candidates = 0

    @property
    def longest(self) -> int | None:
        """See `BoundedStepper.longest`."""
        longest = self._model.longest_target
        return None if math.isinf(longest) else int(longest)

    @torch.inference_mode()
    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        """Encodes sentences (id arrays of any lengths); see `Stepper.start`."""
        self._encoded = self._model.encode(torch.from_numpy(padded_sources(sources)).to(self._model.device))
        self._state, self._length, self._num_candidates = {}, 0, num_candidates
        self._num_sentences = self._num_rows = len(sources)

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Extends rows by one token each; see `Stepper.step`."""
        return best_candidates(self.log_probs(tokens_N, order_N), self._num_candidates)

    @torch.inference_mode()
    def log_probs(self, tokens_N: Int64Array, order_N: Int64Array) -> Tensor:
        """Extends rows by one token each; see `ScoringStepper.log_probs`."""
        assert self._encoded is not None, "start() comes first"
        self._reorder(order_N)
        self._length += 1
        token_N = torch.from_numpy(np.ascontiguousarray(tokens_N)).to(self._model.device)
        previous_NL = token_N[:, None].expand(-1, self._length)  # all but the last only tell fairseq the position
        logits_NV = self._model.decode(previous_NL, self._encoded, self._state)[:, -1]
        log_probs_NV = logits_NV.float().log_softmax(dim=1)
        return only_the_end(log_probs_NV) if self._length == self.longest else log_probs_NV

    def _reorder(self, order_N: Int64Array) -> None:
        """Keeps, repeats or reorders what is remembered: of the targets by row, of the sources by sentence."""
        if np.array_equal(order_N, np.arange(self._num_rows)):
            return
        kept_B = kept_sentences(order_N, self._num_rows, self._num_sentences)
        self._num_rows, self._num_sentences = len(order_N), len(kept_B)
        row_N, sentence_B = (
            torch.from_numpy(np.ascontiguousarray(order)).to(self._model.device) for order in (order_N, kept_B)
        )
        for module in self._model.decoder.modules():
            # Not the decoder's own method: it gives both the same order, and leaves the sources alone where the
            # number of rows happens to stay the same though sentences have left.
            if isinstance(module, MultiheadAttention):
                of_source = module.encoder_decoder_attention
                module.reorder_incremental_state(self._state, sentence_B if of_source else row_N)


class _StockModel(nn.Module):
    """fairseq's model between our ids and ours.

    Args:
        model: fairseq's.
        source_ids_V: for each id of ours that of its source dictionary.
        target_ids_V: likewise of its target dictionary.
    """

    source_ids_V: Tensor
    target_ids_V: Tensor

    def __init__(self, model: Any, source_ids_V: Tensor, target_ids_V: Tensor) -> None:
        super().__init__()
        self.encoder, self.decoder = model.encoder, model.decoder
        self.register_buffer("source_ids_V", source_ids_V)
        self.register_buffer("target_ids_V", target_ids_V)
        self._same_targets = target_ids_V.tolist() == list(range(len(model.decoder.dictionary)))
        self.longest_source, self.longest_target = (_positions_of(side) for side in (self.encoder, self.decoder))
        self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.target_ids_V.device

    def encode(self, source_BS: Tensor) -> dict[str, list[Tensor]]:
        """fairseq's output of the encoder."""
        _check_length("source", source_BS.shape[1], self.longest_source)
        encoded: dict[str, list[Tensor]] = self.encoder(self.source_ids_V[source_BS])
        return encoded

    def decode(
        self, previous_NL: Tensor, encoded: dict[str, list[Tensor]], state: dict[str, Any] | None = None
    ) -> Tensor:
        """Scores `logits_NLV` in our ids: of every position, or of the last one, given what `state` remembers."""
        _check_length("target", previous_NL.shape[1], self.longest_target)
        output = self.decoder(self.target_ids_V[previous_NL], encoder_out=encoded, incremental_state=state)
        scores_NLV: Tensor = output[0]
        if self.decoder.adaptive_softmax is not None:
            scores_NLV = self.decoder.get_normalized_probs(output, log_probs=True)
        return scores_NLV if self._same_targets else scores_NLV.index_select(2, self.target_ids_V)


def _ids_of(pieces: Sequence[str], dictionary: Dictionary, checkpoint: CheckpointFile) -> Tensor:
    """For each piece its id in a dictionary that holds the same symbols.

    Raises:
        TrainingError: it does not; it says how many differ, and the first few.
    """
    symbols, known = dictionary.symbols, frozenset(pieces)
    missing = [piece for piece in pieces if piece not in dictionary.indices]
    unknown = [symbol for symbol in symbols if symbol not in known and not _FILLER.fullmatch(symbol)]
    for differing, what in (
        (missing, "lacks {} of the corpus's pieces"),
        (unknown, "holds {} symbols that are no pieces of the corpus"),
    ):
        if differing:
            shown = ", ".join(map(repr, differing[:_SHOWN])) + (", ..." if len(differing) > _SHOWN else "")
            raise TrainingError(
                f"the teacher has another vocabulary: its dictionary of {len(symbols)} symbols "
                f"{what.format(len(differing))} ({shown})",
                file=checkpoint.file,
                key="teacher.models",
                hint="Train that model anew on text that the corpus's segmenter has cut into pieces, with all of its "
                "pieces in the dictionary",
            )
    return torch.tensor([dictionary.indices[piece] for piece in pieces])


def _positions_of(side: Any) -> float:
    """How many positions an encoder or a decoder of fairseq's knows."""
    table = side.embed_positions
    return table.max_positions if isinstance(table, LearnedPositionalEmbedding) else float("inf")


def _check_length(what: str, length: int, longest: float) -> None:
    if length > longest:
        raise TrainingError(
            f"a {what} of {length} tokens is longer than the teacher has positions for",
            key="teacher.models",
            allowed=f"up to {longest:.0f} tokens",
            hint="Use another teacher, or prepare the corpus with a lower data.cleaning.max_tokens",
        )
