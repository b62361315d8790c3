"""A model and the CTranslate2 model that was made of it score and translate alike."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ctranslate2 = pytest.importorskip("ctranslate2")

from automoe.decoding import EOS, PAD, SearchConfig, search  # noqa: E402
from automoe.errors import AutoMoEError  # noqa: E402
from automoe.export.ctranslate2 import write_model  # noqa: E402
from automoe.latency import ForcedLength  # noqa: E402
from automoe.nn import TorchStepper, Transformer, TransformerConfig  # noqa: E402
from tests.architectures import MAXIMUM, architecture, decoder_layer, encoder_layer  # noqa: E402
from tests.export.sharp_models import PIECES, random_sources, sharp_transformer  # noqa: E402

STOCK = architecture(16, [encoder_layer(32)] * 2, 16, [decoder_layer(24)] * 3)
UNEVEN = architecture(
    24,
    [encoder_layer(32, heads=2, qkv_dim=32), encoder_layer(16, heads=2, qkv_dim=16)],
    16,
    [decoder_layer(24, qkv_dim=8, cross_qkv_dim=24), decoder_layer(40, qkv_dim=32, cross_qkv_dim=8)],
)
"""Other dims and head counts on each side, other widths of attention and feed-forward in each layer."""
LENGTH = 12


MODELS = [(arch, norm) for arch in (STOCK, UNEVEN) for norm in (True, False)]


@pytest.fixture(params=MODELS, scope="module")
def pair(request, tmp_path_factory):
    """A model, and the translator of what was written of it."""
    transformer = sharp_transformer(request.param[0], pre_norm=request.param[1])
    return transformer, translator_of(transformer, tmp_path_factory.mktemp("model"))


def translator_of(transformer, folder):
    write_model(transformer, PIECES, folder)
    return ctranslate2.Translator(str(folder), intra_threads=1, inter_threads=1)


def pieces_of(ids):
    return [PIECES[index] for index in ids if index != EOS]


def test_the_likeliest_tokens_are_the_same(pair):
    transformer, translator = pair
    sources = random_sources(8)
    ours = search(TorchStepper(transformer), sources, SearchConfig(beam=1, max_ratio=0, max_extra=20))
    theirs = translator.translate_batch(
        [pieces_of(source) for source in sources],
        beam_size=1,
        max_decoding_length=20,
        suppress_sequences=[["<pad>"]],
    )
    found = [pieces_of(nbest[0].tokens) for nbest in ours]
    assert found == [result.hypotheses[0] for result in theirs]
    assert len({piece for pieces in found for piece in pieces}) > 8, "a model that only repeats shows nothing"


@pytest.mark.parametrize(("arch", "pre_norm"), MODELS)
def test_beams_of_a_forced_length_are_the_same(arch, pre_norm, tmp_path):
    transformer = sharp_transformer(arch, pre_norm=pre_norm)
    with torch.no_grad():
        transformer.embedding[[PAD, EOS]] = 0  # unlikely: CTranslate2 spreads the probability of what is forbidden
    translator = translator_of(transformer, tmp_path)
    sources = random_sources(6, seed=1)
    stepper = ForcedLength(TorchStepper(transformer), [LENGTH] * len(sources))
    ours = search(stepper, sources, SearchConfig(beam=4, max_ratio=0, max_extra=LENGTH))
    theirs = translator.translate_batch(
        [pieces_of(source) for source in sources],
        beam_size=4,
        num_hypotheses=4,
        min_decoding_length=LENGTH,
        max_decoding_length=LENGTH,
        suppress_sequences=[["<pad>"]],
    )
    found = [[pieces_of(hypothesis.tokens) for hypothesis in nbest] for nbest in ours]
    assert found == [result.hypotheses for result in theirs]


def test_given_translations_score_alike(pair):
    transformer, translator = pair
    sources, targets = random_sources(6), random_sources(6, seed=2)
    results = translator.score_batch([pieces_of(ids) for ids in sources], [pieces_of(ids) for ids in targets])
    for source, target, result in zip(sources, targets, results, strict=True):
        shifted = torch.from_numpy(np.append(EOS, target[:-1]))[None]
        log_probs_LV = transformer(torch.from_numpy(source)[None], shifted).logits_NLV[0].log_softmax(dim=1)
        wanted = log_probs_LV[torch.arange(len(target)), torch.from_numpy(target)]
        np.testing.assert_allclose(result.log_probs, wanted.detach().numpy(), atol=1e-4)


def test_int8_weights_take_little_more_than_a_quarter(tmp_path):
    layers = [encoder_layer(256, qkv_dim=64)] * 2
    arch = architecture(64, layers, 64, [decoder_layer(256, qkv_dim=64, cross_qkv_dim=64)] * 2)
    transformer = Transformer(arch, TransformerConfig(vocab_size=len(PIECES))).eval()
    sizes = {}
    for quantization in ("float32", "int8"):
        folder = tmp_path / quantization
        folder.mkdir()
        write_model(transformer, PIECES, folder, quantization=quantization, num_positions=16)
        sizes[quantization] = (folder / "model.bin").stat().st_size
        translator = ctranslate2.Translator(str(folder), intra_threads=1)
        assert translator.translate_batch([PIECES[4:9]], max_decoding_length=5)[0].hypotheses
    assert sizes["int8"] < 0.3 * sizes["float32"]
    once = 4 * sum(weight.numel() for weight in transformer.parameters())
    assert sizes["float32"] < once + transformer.embedding.nbytes, "the tied table is there once"


def test_a_refusal_names_each_layer_and_why():
    with pytest.raises(AutoMoEError) as caught:
        write_model(sharp_transformer(MAXIMUM), PIECES, None)
    assert "encoder layer 1 has 4 experts" in str(caught.value)
    assert "encoder layer 0" not in str(caught.value)
    assert "decoder layer 0 attends to the last 3 encoder layers" in str(caught.value)
    heads = architecture(16, [encoder_layer(8), encoder_layer(8, heads=2)], 16, [decoder_layer(8, cross_heads=2)])
    with pytest.raises(AutoMoEError) as caught:
        write_model(sharp_transformer(heads), PIECES, None)
    assert "encoder layer 1 has 2 heads and layer 0 has 4" in str(caught.value)
    assert "decoder layer 0 has 2 heads of cross-attention and layer 0 has 4" in str(caught.value)
