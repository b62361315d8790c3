"""A bundle is translated to the same tokens whatever runs it, in float32; in 8 bits to nearly the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentencepiece")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from automoe.decoding import EOS, search  # noqa: E402
from automoe.nn import TorchStepper  # noqa: E402
from automoe.runtime import load  # noqa: E402
from automoe.runtime.onnx_backend import open_stepper  # noqa: E402
from tests.architectures import DENSE, MAXIMUM, architecture, decoder_layer, encoder_layer  # noqa: E402
from tests.export.sharp_models import export_sharp, random_sources, sharp_transformer  # noqa: E402
from tests.runtime.tiny_bundle import DECODING, SENTENCES  # noqa: E402

TOP_K = architecture(
    16,
    [encoder_layer(32, 8, 16, top_k=2), encoder_layer(24)],
    24,
    [decoder_layer(8, 24, 16, top_k=3, cross_layers=2), decoder_layer(16, 32, top_k=2)],
)


@pytest.fixture(
    scope="module",
    params=[(MAXIMUM, True), (MAXIMUM, False), (DENSE, True), (TOP_K, True)],
    ids=["experts", "experts, post-norm", "dense", "top k"],
)
def sharp(request, tmp_path_factory):
    """A model whose translations are never in doubt, and its bundle."""
    arch, pre_norm = request.param
    transformer = sharp_transformer(arch, pre_norm=pre_norm)
    return transformer, export_sharp(transformer, tmp_path_factory.mktemp("bundles") / "sharp")


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_searches_find_the_same_tokens_and_scores(sharp, beam):
    transformer, bundle = sharp
    sources = random_sources(40)
    config = replace(DECODING, beam=beam)
    steppers = (open_stepper(bundle), TorchStepper(transformer))
    found, wanted = (search(stepper, sources, config) for stepper in steppers)
    assert len({hypotheses[0].tokens.tobytes() for hypotheses in wanted}) > 10, "the sentences must be told apart"
    for ours, theirs in zip(found, wanted, strict=True):
        assert [h.tokens.tolist() for h in ours] == [h.tokens.tolist() for h in theirs]
        assert [h.normalised for h in ours] == pytest.approx([h.normalised for h in theirs], abs=1e-4)


@pytest.mark.parametrize("beam", [1, 4])
def test_texts_become_the_same_texts_in_any_batches(sharp, beam):
    _, bundle = sharp
    wanted = load(bundle.folder, backend="torch").translate(SENTENCES, beam=beam)
    translator = load(bundle.folder)
    assert len(set(wanted)) > 4
    for batch in (1, 3, 32):
        assert translator.translate(SENTENCES, beam=beam, batch=batch) == wanted


def test_a_sentence_that_leaves_first_leaves_the_others_as_they_are(sharp):
    _, bundle = sharp
    sources = [source[-length:] for length, source in zip((2, 9, 3, 12, 5), random_sources(99)[::20], strict=True)]
    sources = [np.append(source[source != EOS], EOS) for source in sources]
    config, stepper = replace(DECODING, max_ratio=1.0, max_extra=1), open_stepper(bundle)
    together = search(stepper, sources, config)
    assert len({len(nbest[0].tokens) for nbest in together}) > 1, "they must not all end in the same step"
    for source, nbest in zip(sources, together, strict=True):
        alone = search(stepper, [source], config)[0]
        assert [h.tokens.tolist() for h in nbest] == [h.tokens.tolist() for h in alone]


def test_in_8_bits_most_tokens_are_the_same(sharp):
    _, bundle = sharp
    sources = random_sources(40)
    exact, rounded = (search(open_stepper(bundle, precision=p), sources, DECODING) for p in ("float32", "int8"))
    pairs = [(a[0].tokens.tolist(), b[0].tokens.tolist()) for a, b in zip(exact, rounded, strict=True)]
    same = sum(x == y for ours, theirs in pairs for x, y in zip(ours, theirs, strict=False))
    # After a token that differs all may differ. Chance alone would make one in 50 equal.
    assert same > 0.5 * sum(len(ours) for ours, _ in pairs)
    assert any(a[0].score != b[0].score for a, b in zip(exact, rounded, strict=True)), "this was not in 8 bits"
