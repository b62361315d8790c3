"""A translation model without weights: log probabilities are a pure function of (source, prefix)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from automoe.decoding import EOS, Float32Array, Int64Array


class HashModel:
    """Draws the logits after each prefix from a generator that source and prefix seed.

    Args:
        vocab_size: tokens, the four special symbols included.
        seed: another seed is another model.
        ties: logits are whole numbers, so that many hypotheses score exactly alike.
        end_bias: added to the end symbol's logit; high values make short translations.
    """

    def __init__(self, vocab_size: int, seed: int = 0, *, ties: bool = False, end_bias: float = 0.0) -> None:
        self.vocab_size, self._seed, self._ties, self._end_bias = vocab_size, seed, ties, end_bias

    def log_probs_V(self, source: Sequence[int], prefix: Sequence[int]) -> Float32Array:
        key = np.array([self._seed, len(source), *source, *prefix], dtype=np.int64).tobytes()
        logits_V = np.random.default_rng(zlib.crc32(key)).normal(scale=2.0, size=self.vocab_size)
        logits_V[EOS] += self._end_bias
        if self._ties:
            logits_V = logits_V.round()
        return (logits_V - np.log(np.exp(logits_V).sum())).astype(np.float32)


class HashStepper:
    """The `Stepper` of a `HashModel`; it checks what the search promises to a stepper."""

    def __init__(self, model: HashModel) -> None:
        self._model = model

    def start(self, sources: Sequence[Int64Array], num_candidates: int) -> None:
        self._rows: list[tuple[int, tuple[int, ...]]] = [(index, ()) for index in range(len(sources))]
        self._sources = [tuple(source.tolist()) for source in sources]
        self._num_candidates = min(num_candidates, self._model.vocab_size)
        self._first = True

    def step(self, tokens_N: Int64Array, order_N: Int64Array) -> tuple[Float32Array, Int64Array]:
        if self._first:
            assert (tokens_N == EOS).all() and order_N.tolist() == list(range(len(self._rows)))
        else:
            self._rows = [
                (self._rows[row][0], (*self._rows[row][1], token))
                for row, token in zip(order_N.tolist(), tokens_N.tolist(), strict=True)
            ]
        self._first = False
        sentences = [sentence for sentence, _ in self._rows]
        assert sentences == sorted(sentences), "sentences keep their order and their rows stand together"
        assert len({sentences.count(sentence) for sentence in sentences}) == 1, "equally many rows each"
        found = [self._candidates(self._sources[sentence], prefix) for sentence, prefix in self._rows]
        return np.stack([scores for scores, _ in found]), np.stack([tokens for _, tokens in found])

    def _candidates(self, source: tuple[int, ...], prefix: tuple[int, ...]) -> tuple[Float32Array, Int64Array]:
        log_probs_V = self._model.log_probs_V(source, prefix)
        tokens_K = np.argsort(-log_probs_V, kind="stable")[: self._num_candidates]
        if EOS not in tokens_K:
            tokens_K[-1] = EOS
        return log_probs_V[tokens_K], tokens_K
