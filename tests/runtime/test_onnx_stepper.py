"""A bundle's graphs score as its model does, whatever the architecture and whatever the search asks."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from automoe.decoding import EOS  # noqa: E402
from automoe.decoding.shortlist import Shortlist  # noqa: E402
from automoe.decoding.symbols import PAD, UNK  # noqa: E402
from automoe.nn import TorchStepper  # noqa: E402
from automoe.runtime.onnx_backend import open_stepper  # noqa: E402
from tests.architectures import architecture, decoder_layer, encoder_layer  # noqa: E402
from tests.export.random_models import (  # noqa: E402
    export_random,
    random_architecture,
    random_sources,
    random_transformer,
)
from tests.runtime.walks import TOLERANCE, Step, check_candidates, check_walk, random_walk, table, walk  # noqa: E402

VOCABULARIES = (5, 16, 31, 251, 256, 257, 300, 1000)
"""Fewer tokens than candidates; too few for blocks; a prime; the least that has blocks; with good divisors."""
MANY = architecture(
    24,
    [encoder_layer(*[4, 12] * 32), encoder_layer(24, 8)],
    16,
    [decoder_layer(*[8, 4] * 32, cross_layers=2), decoder_layer(*[3, 5] * 32, top_k=3)],
)
"""64 experts in a layer."""
FEW = architecture(
    24,
    [encoder_layer(16, 8, 8, 24), encoder_layer(24, 4, 4, 8, 8), encoder_layer(8, 8, 16, top_k=2)],
    16,
    [
        decoder_layer(8, 4, 4, 8, 6, cross_layers=3),
        decoder_layer(9),
        decoder_layer(8, 16, 4, top_k=2, cross_layers=2),
    ],
)
"""Up to 5, which a few sentences can reach."""


def random_model(rng, vocab_size, seed=0):
    arch = random_architecture(rng)
    return random_transformer(arch, vocab_size=vocab_size, pre_norm=bool(rng.integers(2)), seed=seed)


@pytest.mark.parametrize("seed", range(40))
def test_graphs_have_the_scores_and_candidates_of_the_model(tmp_path, seed):
    rng = np.random.default_rng(seed)
    vocab_size, beam, sentences = int(rng.choice(VOCABULARIES)), int(rng.choice([1, 2, 5])), int(rng.integers(1, 7))
    transformer = random_model(rng, vocab_size, seed)
    stepper = open_stepper(export_random(transformer, tmp_path / "bundle", precisions=["float32"]))
    reference = TorchStepper(transformer)
    for _ in range(2):  # the second batch must know nothing of the first
        sources = random_sources(rng, vocab_size=vocab_size, count=sentences)
        steps = list(random_walk(rng, sentences=sentences, vocab_size=vocab_size, beam=beam))
        check_walk(stepper, reference, sources, vocab_size, int(rng.integers(2, 12)), steps)


def least_load(transformer, sources, steps):
    """Tokens of the expert of any layer that has fewest, where steps only ever extend the rows that there are."""
    longest = max(map(len, sources))
    source_BS = torch.tensor([[*ids, *[PAD] * (longest - len(ids))] for ids in sources])
    target_BL = torch.from_numpy(np.stack([step.tokens_N for step in steps], axis=1))
    with torch.inference_mode():
        routings = transformer(source_BS, target_BL).routings
    assert len(routings) == 5
    return min(int(routing.loads_E().min()) for routing in routings.values())


@pytest.mark.parametrize("pre_norm", [True, False])
def test_when_every_expert_of_every_layer_is_reached_all_scores_are_those_of_the_model(tmp_path, pre_norm):
    rng = np.random.default_rng(0)
    sources = random_sources(rng, vocab_size=1000, count=60)
    rows = np.arange(len(sources))
    steps = [Step(rows * 0 + EOS, rows), *(Step(rng.integers(3, 1000, size=len(rows)), rows) for _ in range(9))]
    models = (random_transformer(FEW, vocab_size=1000, pre_norm=pre_norm, seed=seed) for seed in range(50))
    transformer = next((model for model in models if least_load(model, sources, steps) > 0), None)
    assert transformer is not None, "no model sends tokens to every expert"
    stepper = open_stepper(export_random(transformer, tmp_path / "bundle", precisions=["float32"]))
    check_walk(stepper, TorchStepper(transformer), sources, 1000, 1000, steps)


def test_64_experts_score_as_those_of_the_model(tmp_path):
    rng = np.random.default_rng(0)
    transformer = random_transformer(MANY, vocab_size=300)
    stepper = open_stepper(export_random(transformer, tmp_path / "bundle", precisions=["float32"]))
    sources = random_sources(rng, vocab_size=300, count=8)
    steps = list(random_walk(rng, sentences=8, vocab_size=300, beam=5))
    check_walk(stepper, TorchStepper(transformer), sources, 300, 7, steps)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("kind", ["whole vocabulary", "shortlist"])
def test_a_sentence_scores_alike_alone_and_beside_longer_ones(tmp_path, beam, kind):
    rng = np.random.default_rng(beam)
    transformer = random_model(rng, 300)
    same = Shortlist.from_rows(range(40), [()] * 300)  # one list for all batches
    stepper = open_stepper(
        export_random(transformer, tmp_path / "bundle", precisions=["float32"], shortlist=same),
        shortlist=kind == "shortlist",
    )
    sources = [source[:-1].clip(3, 39) for source in random_sources(rng, vocab_size=300, count=5)]
    sources = [np.append(source, EOS) for source in (*sources, rng.integers(3, 40, size=200))]
    order = np.arange(len(sources)).repeat(beam)
    steps = [Step(np.full(len(sources), EOS), np.arange(len(sources))), Step(rng.integers(3, 300, len(order)), order)]
    together = walk(stepper, sources, 40, steps)
    for index, source in enumerate(sources):
        own = slice(index * beam, (index + 1) * beam)
        alone = [Step(np.array([EOS]), np.array([0])), Step(steps[1].tokens_N[own], np.zeros(beam, dtype=np.int64))]
        for (ours, our_tokens), (theirs, their_tokens), rows in zip(
            walk(stepper, [source], 40, alone), together, (slice(index, index + 1), own), strict=True
        ):
            np.testing.assert_allclose(ours, theirs[rows], rtol=0, atol=TOLERANCE)
            differ = our_tokens != their_tokens[rows]  # only where scores are equal, to rounding
            assert differ.mean() < 0.1


def dense(rng):
    arch = architecture(32, [encoder_layer(48)] * 2, 24, [decoder_layer(48)] * 2)
    return random_transformer(arch, vocab_size=300, seed=int(rng.integers(100)))


@pytest.mark.parametrize("seed", range(3))
def test_in_8_bits_log_probabilities_are_near(tmp_path, seed):
    rng = np.random.default_rng(seed)
    transformer = dense(rng)
    bundle = export_random(transformer, tmp_path / "bundle", precisions=["int8"])
    sources = random_sources(rng, vocab_size=300, count=6)
    steps = list(random_walk(rng, sentences=6, vocab_size=300, beam=4))
    wanted = np.concatenate([table(*answer) for answer in walk(TorchStepper(transformer), sources, 300, steps)])
    found = np.concatenate(
        [table(*answer) for answer in walk(open_stepper(bundle, precision="int8"), sources, 300, steps)]
    )
    error = np.abs(found - wanted)
    # The logits of these models have a deviation of about 1. Each of some 20 products in a row adds a relative
    # error of about 1 / 64 / sqrt(12) (weights) and less again (activations): a few hundredths in all.
    assert 1e-3 < error.mean() < 0.1 and error.max() < 0.5


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_shortlist_of_all_tokens_scores_as_the_whole_vocabulary(tmp_path, precision):
    rng = np.random.default_rng(0)
    for vocab_size in (5, 40, 300):
        transformer = random_model(rng, vocab_size)
        every = Shortlist.from_rows(range(vocab_size), [()] * vocab_size)
        bundle = export_random(transformer, tmp_path / f"{vocab_size}", precisions=[precision], shortlist=every)
        sources = random_sources(rng, vocab_size=vocab_size, count=4)
        steps = list(random_walk(rng, sentences=4, vocab_size=vocab_size, beam=3))
        full, listed = (open_stepper(bundle, precision=precision, shortlist=use) for use in (False, True))
        check_walk(listed, full, sources, vocab_size, 7, steps)


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("listed", [0, 30, 100])
def test_a_shortlist_names_listed_tokens_and_estimates_the_probability_of_all_others(tmp_path, precision, listed):
    rng = np.random.default_rng(listed)
    transformer = dense(rng)
    rows = [rng.integers(3, 300, size=3).tolist() for _ in range(300)]
    shortlist = Shortlist.from_rows(rng.integers(3, 300, size=listed).tolist(), rows)
    bundle = export_random(transformer, tmp_path / "bundle", precisions=[precision], shortlist=shortlist)
    full, short = (open_stepper(bundle, precision=precision, shortlist=use) for use in (False, True))
    for _ in range(2):  # each batch has a list of its own
        sources = random_sources(rng, vocab_size=300, count=3)
        allowed = shortlist.tokens(sources)
        steps = list(random_walk(rng, sentences=3, vocab_size=300, beam=3))
        for (scores_NK, tokens_NK), answer in zip(
            walk(short, sources, 300, steps), walk(full, sources, 300, steps), strict=True
        ):
            assert all(sorted(row) == allowed.tolist() for row in tokens_NK)
            assert {EOS, UNK} < set(allowed) and len(allowed) < 300
            wanted_NK = np.take_along_axis(table(*answer), tokens_NK, axis=1)
            shift_N1 = np.median(scores_NK - wanted_NK, axis=1, keepdims=True)
            # Only the sum over all tokens is estimated, so all tokens of a row are off by the same.
            np.testing.assert_allclose(scores_NK - shift_N1, wanted_NK, rtol=0, atol=TOLERANCE)
            # Scores of a list alone are too high by what it leaves out, which is much.
            left_out_N = -np.log(np.exp(wanted_NK.astype(np.float64)).sum(axis=1))
            assert left_out_N.mean() > 0.4 and np.abs(shift_N1).max() < 0.35


def test_a_shortlist_smaller_than_a_beam_gives_what_it_has_and_the_end_symbol_last(tmp_path):
    rng = np.random.default_rng(0)
    transformer = random_model(rng, 300)
    shortlist = Shortlist.from_rows([], [()] * 300)
    bundle = export_random(transformer, tmp_path / "bundle", precisions=["float32"], shortlist=shortlist)
    stepper = open_stepper(bundle, shortlist=True)
    first = Step(np.array([EOS]), np.array([0]))
    for num_candidates in (1, 2, 4, 7):
        (scores_NK, tokens_NK), *_ = walk(stepper, [np.array([9, 10, EOS])], num_candidates, [first])
        assert set(tokens_NK[0]) <= {EOS, UNK, 9, 10} and EOS in tokens_NK[0]
        assert tokens_NK.shape == scores_NK.shape == (1, min(num_candidates, 4))


def test_an_int8_bundle_needs_no_float32_graphs_and_its_routers_are_not_rounded(tmp_path):
    from automoe.bundle import INT8_WEIGHTS_FILE, read_tensors

    bundle = export_random(random_transformer(MANY, vocab_size=300), tmp_path / "bundle", precisions=["int8"])
    open_stepper(bundle, precision="int8")
    found = read_tensors(bundle.path(INT8_WEIGHTS_FILE))
    state = random_transformer(MANY, vocab_size=300).state_dict()
    routers = {name for name in state if "router" in name}
    assert len(routers) == 4 and routers < found.keys()
    for name in routers:
        np.testing.assert_array_equal(found[name], state[name].numpy())
    quantised = {part for name, array in found.items() if array.dtype == np.int8 for part in name.split("+")}
    assert quantised == {name for name, tensor in state.items() if tensor.dim() == 2} - routers


def test_check_candidates_can_fail():
    wanted_NV = np.log(np.array([[0.1, 0.2, 0.3, 0.4]], dtype=np.float32))
    right = (wanted_NV[:, [3, 2]], np.array([[3, 2]]))
    check_candidates(right, wanted_NV, 2)
    for wrong in (
        (right[0] + 0.01, right[1]),
        (right[0], np.array([[2, 3]])),
        (wanted_NV[:, [3, 1]], np.array([[3, 1]])),
        (wanted_NV[:, [2, 1]], np.array([[2, 1]])),
        (right[0][:, :1], right[1][:, :1]),
    ):
        with pytest.raises(AssertionError):
            check_candidates(wrong, wanted_NV, 2)
