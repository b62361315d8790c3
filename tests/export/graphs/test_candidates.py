"""The best tokens are those of a sort over the whole vocabulary, and shortlist scores are those of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from automoe.decoding.shortlist import SHORTLIST_SAMPLE
from automoe.export.graphs.builder import GraphBuilder
from automoe.export.graphs.candidates import best_candidates, block_size, shortlist_scores
from tests.export.graphs.single import normal, run_graph


@given(st.integers(1, 50_000))
def test_blocks_cut_the_vocabulary_without_rest_and_neither_few_nor_small(vocab_size):
    block = block_size(vocab_size)
    allowed = [size for size in range(16, vocab_size // 16 + 1) if vocab_size % size == 0]
    if not allowed:
        assert block == 0
    else:
        assert block in allowed


@pytest.mark.parametrize(("vocab_size", "block"), [(32_000, 160), (6_000, 75), (1_024, 32), (251, 0), (255, 0)])
def test_a_block_is_about_the_root_of_the_vocabulary(vocab_size, block):
    assert block_size(vocab_size) in (block, vocab_size // block if block else 0)


@pytest.mark.parametrize("vocab_size", [5, 255, 256, 257, 300, 512, 1000, 2 * 499])
@pytest.mark.parametrize("known", [True, False], ids=["size known", "size varies"])
def test_the_best_candidates_are_those_of_a_sort(tmp_path, vocab_size, known):
    g = GraphBuilder("best")
    score = g.input("score_NV", np.float32, ("rows", vocab_size if known else "listed"))
    count = g.input("count", np.int64, (1,))
    for value, name, dtype in zip(
        best_candidates(g, score, count, vocab_size if known else None),
        ("score_NK", "token_NK"),
        (np.float32, np.int64),
        strict=True,
    ):
        g.output(value, name, dtype, ("rows", "candidates"))
    rows = np.arange(9 * vocab_size, dtype=np.float32).reshape(9, vocab_size)  # no two scores are equal
    score_NV = np.random.default_rng(0).permuted(rows, axis=1)
    score_NV[0] = np.sort(score_NV[0])  # all of the best ones in one block
    for num_candidates in (1, 5, min(30, vocab_size), vocab_size):
        score_NK, token_NK = run_graph(g, tmp_path, {"score_NV": score_NV, "count": np.array([num_candidates])})
        np.testing.assert_array_equal(token_NK, np.argsort(-score_NV, axis=1)[:, :num_candidates])
        np.testing.assert_array_equal(score_NK, np.take_along_axis(score_NV, token_NK, axis=1))


def listed_scores(folder, logits_NV, log_others):
    g = GraphBuilder("scores")
    score = shortlist_scores(g, g.input("logits_NV", np.float32, ("rows", "listed")))
    g.output(score, "score_NV", np.float32, ("rows", "listed"))
    log_others = np.array([log_others], dtype=np.float32)
    return run_graph(g, folder, {"logits_NV": logits_NV, "log_others": log_others})[0]


def log_softmax(logits_NV):
    exact_NV = logits_NV.astype(np.float64)
    return exact_NV - np.logaddexp.reduce(exact_NV, axis=1, keepdims=True)


def test_a_list_of_all_tokens_has_their_log_probabilities(tmp_path):
    rng = np.random.default_rng(0)
    logits_NV = normal(rng, 6, 40) * 5
    with_sample = np.concatenate([logits_NV, normal(rng, 6, SHORTLIST_SAMPLE)], axis=1)
    np.testing.assert_allclose(listed_scores(tmp_path, with_sample, -np.inf), log_softmax(logits_NV), atol=1e-5)


@pytest.mark.parametrize("level", [-30.0, 0.0, 30.0])
def test_tokens_off_the_list_that_are_all_alike_are_counted_exactly(tmp_path, level):
    listed_NV = normal(np.random.default_rng(0), 6, 40) * 5
    all_NV = np.concatenate([listed_NV, np.full((6, 1000), level, dtype=np.float32)], axis=1)
    found_NV = listed_scores(tmp_path, all_NV[:, : 40 + SHORTLIST_SAMPLE], np.log(1000))
    np.testing.assert_allclose(found_NV, log_softmax(all_NV)[:, :40], atol=1e-4)


@pytest.mark.parametrize("spread", [0.5, 1.5])
def test_the_mass_off_the_list_is_estimated_from_a_sample(tmp_path, spread):
    all_NV = normal(np.random.default_rng(0), 200, 2040) * spread
    exact_NV = log_softmax(all_NV)[:, :40]
    found_NV = listed_scores(tmp_path, all_NV[:, : 40 + SHORTLIST_SAMPLE], np.log(2000))
    shift_NV = found_NV - exact_NV
    np.testing.assert_allclose(shift_NV, shift_NV[:, :1].repeat(40, axis=1), atol=1e-4)
    # The error of mean + variance / 2 over 64 normal logits has the deviation sqrt(s^2 / 64 + s^4 / 126).
    deviation = (spread**2 / 64 + spread**4 / 126) ** 0.5
    assert abs(shift_NV[:, 0].mean()) < deviation and 0.5 * deviation < shift_NV[:, 0].std() < 1.5 * deviation
