"""`OnnxStepper`: a bundle's graphs as the search sees them (see `automoe.decoding.Stepper`).

Shape suffixes: B sentences, S source length, N rows (hypotheses), K candidates per row, D model dim.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime

from automoe.decoding.positions import PositionTable
from automoe.decoding.stepper import Float32Array, Int64Array
from automoe.decoding.symbols import EOS, PAD
from automoe.runtime.output_table import OutputTable

Arrays = dict[str, npt.NDArray[np.generic]]


class OnnxStepper:
    """Extends hypotheses by running one graph for the source and one for each token.

    Args:
        encoder: the graph `encoder`.
        decoder: the graph `decoder`, or `decoder_shortlist`.
        vocab_size: number of tokens.
        output_table: scores only what its shortlist names; for `decoder_shortlist` and no other.
    """

    def __init__(
        self,
        encoder: onnxruntime.InferenceSession,
        decoder: onnxruntime.InferenceSession,
        *,
        vocab_size: int,
        output_table: OutputTable | None = None,
    ) -> None:
        self._encoder, self._decoder, self._vocab_size, self._table = encoder, decoder, vocab_size, output_table
        self._memory_names = [output.name for output in encoder.get_outputs()]
        results = ["score_NK", "token_NK", "end_N1"]
        self._output_names = [name for name in _names(decoder.get_outputs()) if name not in results] + results
        self._past_names = [name.replace("next_", "past_") for name in self._output_names[: -len(results)]]
        shapes = {value.name: value.shape for value in (*encoder.get_inputs(), *decoder.get_inputs())}
        self._past_shapes = [shapes[name] for name in self._past_names]
        self._source_positions = PositionTable(shapes["position_SD"][1])
        self._target_positions = PositionTable(shapes["position_1D"][1])
        self._feeds: Arrays = {}
        self._listed: Int64Array | None = None
        self._num_sentences = self._num_rows = self._length = 0

    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        """Encodes sentences (id arrays of any lengths); see `Stepper.start`."""
        self._feeds = {}  # what is left of the batch before
        self._num_sentences = self._num_rows = len(sources)
        self._length = 0
        source_BS = np.full((len(sources), max(map(len, sources))), PAD, dtype=np.int64)
        for row, ids in enumerate(sources):
            source_BS[row, : len(ids)] = ids
        position_SD = self._source_positions.first(source_BS.shape[1])
        memory = self._encoder.run(self._memory_names, {"source_BS": source_BS, "position_SD": position_SD})
        self._feeds = dict(zip(self._memory_names, memory, strict=True))
        num_listed = self._vocab_size
        if self._table is not None:
            self._listed, output = self._table.rows(sources)
            self._feeds |= output
            num_listed = len(self._listed)
        self._feeds["num_candidates"] = np.array([min(num_candidates, num_listed)])
        for name, (_, heads, _, channels) in zip(self._past_names, self._past_shapes, strict=True):
            self._feeds[name] = np.empty((len(sources), heads, 0, channels), dtype=np.float32)

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        """Extends rows by one token each; see `Stepper.step`."""
        feeds = self._feeds
        self._leave_sentences(order_N)
        feeds["token_N"], feeds["order_N"] = tokens_N, order_N
        feeds["position_1D"] = self._target_positions.one(self._length)
        *past, score_NK, token_NK, end_N1 = self._decoder.run(self._output_names, feeds)
        feeds.update(zip(self._past_names, past, strict=True))
        self._length += 1
        if self._listed is not None:
            token_NK = self._listed[token_NK]
        without_end_N = (token_NK != EOS).all(axis=1)
        score_NK[without_end_N, -1] = end_N1[without_end_N, 0]
        token_NK[without_end_N, -1] = EOS
        return score_NK, token_NK

    def _leave_sentences(self, order_N: Int64Array) -> None:
        """Forgets the sentences that have no rows any more."""
        if len(order_N) == self._num_rows > self._num_sentences:
            return  # a sentence has always as many rows as the others, so none is gone
        kept_B = np.unique(order_N // (self._num_rows // self._num_sentences))
        if len(kept_B) < self._num_sentences:
            for name in self._memory_names:
                self._feeds[name] = self._feeds[name][kept_B]
            self._num_sentences = len(kept_B)
        self._num_rows = len(order_N)


def _names(values: Sequence[onnxruntime.NodeArg]) -> list[str]:
    return [value.name for value in values]
