"""Beam search in plain Python, one sentence and one hypothesis at a time: the reference for the fast one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automoe.decoding import EOS, PAD, SearchConfig
from tests.decoding.hash_model import HashModel

Found = tuple[tuple[int, ...], float, float]
"""Tokens, score, normalised score."""


def naive_beam_search(model: HashModel, source: Sequence[int], config: SearchConfig) -> list[Found]:
    beam, limit = config.beam, config.limit(len(source))
    hypotheses: list[tuple[tuple[int, ...], np.float32]] = [((), np.float32(0.0))]
    finished: list[Found] = []
    for length in range(limit + 1):
        candidates = []
        for rank, (prefix, score) in enumerate(hypotheses):
            log_probs_V = model.log_probs_V(source, prefix)
            for token in range(model.vocab_size):
                too_short, full = length < min(config.min_length, limit), length == limit
                if token == PAD or (too_short if token == EOS else full):
                    continue
                candidates.append((-(score + log_probs_V[token]), rank, -log_probs_V[token], token))
        candidates = sorted(candidates)[: 2 * beam]
        extended = [((*hypotheses[rank][0], token), -cost) for cost, rank, _, token in candidates]
        for tokens, score in extended[:beam]:
            if tokens[-1] == EOS and len(finished) < beam:
                normalised = score / np.float32(len(tokens) ** config.length_penalty)
                finished.append((tokens, float(score), float(normalised)))
        hypotheses = [(tokens, score) for tokens, score in extended if tokens[-1] != EOS][:beam]
        if len(finished) == beam or not hypotheses:
            break
    return sorted(finished, key=lambda found: -found[2])
