"""Translation with a bundle, and the bundles that are refused."""

from __future__ import annotations

import dataclasses
import os
import random
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sentencepiece")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from automoe.bundle import SEGMENTER_FILE, WEIGHTS_FILE  # noqa: E402
from automoe.decoding import EOS, beam_search  # noqa: E402
from automoe.decoding.segmenter import Segmenter  # noqa: E402
from automoe.errors import BundleError, ConfigError  # noqa: E402
from automoe.nn import TorchStepper, Transformer  # noqa: E402
from automoe.runtime import TranslationWarning, Translator, load  # noqa: E402
from automoe.runtime import translator as module  # noqa: E402
from automoe.threads import MAX_THREADS  # noqa: E402
from tests.decoding.hash_model import HashModel, HashStepper  # noqa: E402
from tests.runtime.tiny_bundle import (  # noqa: E402
    DECODING,
    SENTENCES,
    TinyBundle,
    make_bundle,
    sealed_again,
    segmenter_model,
)

BACKENDS = ("onnx", "torch")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> TinyBundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def translator(tiny) -> Translator:
    return load(tiny.bundle.folder)


class RecordingStepper(HashStepper):
    """Keeps the sources that it is given."""

    def start(self, sources, num_candidates):
        self.seen = [*getattr(self, "seen", []), *sources]
        super().start(sources, num_candidates)


@pytest.fixture
def hash_translator(tiny, monkeypatch):
    """Loads the same bundle around a model that shows what it is given."""

    def make(**changes) -> tuple[Translator, RecordingStepper]:
        segmenter = Segmenter.from_file(tiny.bundle.path(SEGMENTER_FILE))
        stepper = RecordingStepper(HashModel(segmenter.vocab_size))
        bundle = dataclasses.replace(tiny.bundle, manifest=dataclasses.replace(tiny.bundle.manifest, **changes))
        monkeypatch.setattr(module, "read_bundle", lambda path: bundle)
        monkeypatch.setattr(module, "find_backend", lambda name: lambda bundle, **use: stepper)
        return load(tiny.bundle.folder), stepper

    return make


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bundle_translates_token_for_token_as_the_model_that_it_was_made_of(tiny, backend):
    segmenter = Segmenter.from_file(tiny.bundle.path(SEGMENTER_FILE))
    texts = [text for text in SENTENCES if text.strip()]
    wanted = beam_search(TorchStepper(tiny.transformer), [segmenter.encode(text).ids_L for text in texts], DECODING)
    found = load(tiny.bundle.folder, backend=backend).translate_nbest(texts, batch=2)
    for translations, hypotheses in zip(found, wanted, strict=True):
        assert [list(t.tokens) for t in translations] == [h.tokens.tolist() for h in hypotheses]
        assert [t.score for t in translations] == pytest.approx([h.normalised for h in hypotheses], abs=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("beam", [1, 4])
def test_batches_change_nothing(translator, batch, beam):
    whole = translator.translate_nbest(SENTENCES, beam=beam, batch=32)
    found = translator.translate_nbest(SENTENCES, beam=beam, batch=batch)
    assert [[t.tokens for t in nbest] for nbest in found] == [[t.tokens for t in nbest] for nbest in whole]
    for ours, theirs in zip(found, whole, strict=True):
        assert [t.score for t in ours] == pytest.approx([t.score for t in theirs], abs=1e-5)


def test_lines_keep_their_order(translator):
    order = random.Random(0).sample(range(len(SENTENCES)), len(SENTENCES))
    straight = translator.translate(SENTENCES)
    assert len(set(straight)) > 3, "the sentences must be told apart"
    assert translator.translate([SENTENCES[i] for i in order]) == [straight[i] for i in order]


def test_empty_lines_stay_empty_and_no_others(translator):
    nbest = translator.translate_nbest(["", " \t", "\ufeff", "cat", "\x00"])
    assert [bool(translations[0].tokens) for translations in nbest] == [False, False, False, True, False]
    assert translator.translate(["", " \t", "\x00"]) == ["", "", ""]
    assert translator.translate([]) == []


def test_nbest_is_ranked_and_begins_with_the_translation(translator):
    nbest = translator.translate_nbest(["the cat sat"], beam=3)[0]
    assert len(nbest) == 3 and nbest[0].text == translator.translate(["the cat sat"], beam=3)[0]
    assert [t.score for t in nbest] == sorted((t.score for t in nbest), reverse=True)


def test_the_length_penalty_is_that_of_the_call(translator):
    plain = translator.translate_nbest(["the cat sat"], length_penalty=0.0)[0]
    other = translator.translate_nbest(["the cat sat"], length_penalty=1.0)[0]
    same = {t.tokens: t.score for t in plain}
    assert {t.tokens for t in other} == same.keys()
    assert [t.score for t in other] == pytest.approx([same[t.tokens] / len(t.tokens) for t in other])


def test_progress_counts_every_sentence_once(translator):
    counts: list[int] = []
    translator.translate(SENTENCES, batch=3, on_progress=counts.append)
    assert sum(counts) == len(SENTENCES) and len(counts) > 2


def test_a_sentence_that_is_too_long_is_cut_and_named(hash_translator):
    translator, stepper = hash_translator(max_source_tokens=6)
    told: list[tuple[int, str]] = []
    translator.translate(["cat", "the cat sat on a mat"], on_warning=lambda *warning: told.append(warning))
    assert [index for index, _ in told] == [1] and "cut to the 6" in told[0][1]
    assert max(len(ids) for ids in stepper.seen) == 6
    assert all(ids[-1] == EOS and EOS not in ids[:-1] for ids in stepper.seen)


def test_a_sentence_of_just_the_longest_length_is_not_cut(tiny, hash_translator):
    segmenter = Segmenter.from_file(tiny.bundle.path(SEGMENTER_FILE))
    ids_L = segmenter.encode("the cat sat").ids_L
    translator, stepper = hash_translator(max_source_tokens=len(ids_L))
    translator.translate(["the cat sat"], on_warning=lambda *warning: pytest.fail(str(warning)))
    np.testing.assert_array_equal(stepper.seen[0], ids_L)


def test_invalid_utf8_is_read_as_the_replacement_character_and_named(hash_translator):
    translator, _ = hash_translator()
    broken = b"the \xff cat".decode("utf-8", "surrogateescape")
    with pytest.warns(TranslationWarning, match=r"sentence 2: invalid UTF-8"):
        found = translator.translate_nbest(["cat", broken])
    assert found[1] == translator.translate_nbest(["the \ufffd cat"])[0]


@pytest.mark.parametrize(
    ("key", "arguments"),
    [
        ("beam", {"beam": 0}),
        ("batch", {"batch": 0}),
        ("length_penalty", {"length_penalty": float("inf")}),
        ("threads", {"threads": 0}),
        ("precision", {"precision": "int4"}),
        ("shortlist", {"shortlist": True}),
        ("batch", {"batch": 2.5}),
        ("batch", {"batch": True}),
        ("threads", {"threads": True}),
        ("threads", {"threads": 2.5}),
        ("shortlist", {"shortlist": "yes"}),
        ("precision", {"precision": ["int8"]}),
    ],
)
def test_numbers_that_make_no_sense_name_the_key(translator, key, arguments):
    with pytest.raises(ConfigError) as caught:
        translator.translate(["cat"], **arguments)
    assert caught.value.key == key
    assert len(translator.translate(["cat"])) == 1, "it works on"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("use", [{"threads": True}, {"threads": 2.5}, {"shortlist": "yes"}, {"precision": ["int8"]}])
def test_what_no_model_can_be_loaded_for_names_the_key(tiny, backend, use):
    with pytest.raises(ConfigError) as caught:
        load(tiny.bundle.folder, backend=backend, **use)
    assert [caught.value.key] == list(use)


def test_a_string_in_place_of_the_sentences_is_refused_with_the_advice_to_give_a_list(translator):
    with pytest.raises(ConfigError, match="sentences") as caught:
        translator.translate("A dog")
    assert caught.value.key == "sentences" and "list" in caught.value.hint


@pytest.mark.parametrize("sentence", [None, 7, b"cat", ["cat"]])
def test_a_sentence_that_is_no_text_is_refused(translator, sentence):
    with pytest.raises(ConfigError) as caught:
        translator.translate(["cat", sentence])
    assert caught.value.key.startswith("sentences")


def test_torch_has_the_threads_of_the_call_whatever_the_call_before_had(tiny, monkeypatch):
    before, during = torch.get_num_threads(), []

    def encode(self, *inputs, **options):
        during.append(torch.get_num_threads())
        return whole(self, *inputs, **options)

    whole = Transformer.encode
    monkeypatch.setattr(Transformer, "encode", encode)
    try:
        translator = load(tiny.bundle.folder, backend="torch")
        for threads in (1, 2, 1):
            translator.translate(["cat"], threads=threads)
    finally:
        torch.set_num_threads(before)
    assert during == [1, 2, 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_threads_than_cores_translate_alike(tiny, translator, backend):
    threads = min((os.cpu_count() or 1) + 3, MAX_THREADS)
    try:
        many = load(tiny.bundle.folder, backend=backend, threads=threads)
        assert many.translate(SENTENCES) == translator.translate(SENTENCES)
    finally:
        torch.set_num_threads(1)


def test_what_a_call_asks_for_is_as_if_it_had_been_loaded_so(tiny, translator):
    nbest = load(tiny.bundle.folder, precision="int8").translate_nbest(SENTENCES)
    assert translator.translate_nbest(SENTENCES, precision="int8") == nbest
    assert translator.translate_nbest(SENTENCES) != nbest, "int8 scores a little differently"
    assert translator.translate_nbest(SENTENCES, threads=2) == translator.translate_nbest(SENTENCES)


def test_a_model_is_opened_once_for_each_use(tiny, monkeypatch):
    opened = []

    def open_stepper(bundle, **use):
        opened.append(use)
        return HashStepper(HashModel(tiny.transformer.config.vocab_size))

    monkeypatch.setattr(module, "find_backend", lambda name: open_stepper)
    translator = load(tiny.bundle.folder)
    for use in ({}, {"threads": 2}, {"precision": "int8"}, {"threads": 2}, {}, {"shortlist": False}):
        translator.translate(["cat"], **use)
    plain = {"threads": 1, "precision": "float32", "shortlist": False, "device": "cpu"}
    assert opened == [plain, plain | {"threads": 2}, plain | {"precision": "int8"}]


def test_no_threads_are_refused(tiny):
    with pytest.raises(ConfigError, match="threads"):
        load(tiny.bundle.folder, threads=0)


def changed(tiny: TinyBundle, **changes) -> dict:
    return {k: v for k, v in (dict(tiny.transformer.state_dict()) | changes).items() if v is not None}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "tensor", "problem"),
    [
        ("embedding", None, "lacks 1 tensor"),
        ("encoder_layers.9.x", torch.zeros(2), "1 tensor.* too many"),
        ("embedding", torch.zeros(3, 32), "wrong shape"),
        ("decoder_norm.weight", torch.full((24,), torch.nan), "NaN"),
        ("decoder_norm.weight", torch.full((24,), torch.inf), "infinite"),
        ("decoder_norm.weight", torch.cat([torch.ones(23), torch.tensor([-torch.inf])]), "infinite"),
        ("decoder_norm.weight", torch.ones(24, dtype=torch.int64), "type that no weight has"),
        ("encoder_layers.1.experts.w2.3", None, "lacks 1 tensor"),
    ],
)
def test_weights_of_another_model_are_refused_and_the_tensor_named(tiny, tmp_path, name, tensor, problem, backend):
    assert "decoder_norm.weight" in tiny.transformer.state_dict()
    bad = make_bundle(tmp_path / "bad", weights=changed(tiny, **{name: tensor}))
    with pytest.raises(BundleError, match=problem) as caught:
        load(bad.bundle.folder, backend=backend)
    assert caught.value.key == name and WEIGHTS_FILE in str(caught.value)


def test_weights_of_half_precision_translate_with_torch_and_are_no_weights_of_the_graphs(tiny, tmp_path):
    half = {name: tensor.half() for name, tensor in tiny.transformer.state_dict().items()}
    folder = make_bundle(tmp_path / "half", weights=half).bundle.folder
    assert len(load(folder, backend="torch").translate(["cat"])) == 1
    with pytest.raises(BundleError, match="onnx") as caught:
        load(folder)
    assert "Export" in caught.value.hint


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "content",
    [b"", b"no tensors at all", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}"],
    ids=["empty", "text", "a list", "endless", "no tensors"],
)
def test_a_file_that_is_no_weight_file_is_refused(tmp_path, backend, content):
    bad = make_bundle(tmp_path / "bad", weights=content)
    with pytest.raises(BundleError, match=r"no safetensors file|lacks") as caught:
        load(bad.bundle.folder, backend=backend)
    assert caught.value.hint


def test_a_vocabulary_of_another_size_than_the_segmenters_is_refused(tiny, tmp_path):
    model = dict(tiny.bundle.manifest.model) | {"vocab_size": 999}
    with pytest.raises(BundleError, match=r"vocab_size=999: the segmenter has"):
        load(make_bundle(tmp_path / "bad", model=model).bundle.folder)


def test_a_segmenter_of_another_vocabulary_is_refused(tiny, tmp_path):
    other = segmenter_model("another text of other words that make fewer pieces")
    bundle = sealed_again(make_bundle(tmp_path / "bad").bundle, {SEGMENTER_FILE: other})
    assert Segmenter(other).vocab_size != Segmenter(segmenter_model()).vocab_size
    with pytest.raises(BundleError, match="the segmenter has") as caught:
        load(bundle.folder)
    assert "segmenter that the model was trained with" in caught.value.hint


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("architecture", [{}, {"encoder": {"dim": 8, "layers": []}, "decoder": {}}])
def test_an_architecture_that_cannot_be_built_names_the_version_that_can(tmp_path, architecture, backend):
    with pytest.raises(BundleError, match="describes no model") as caught:
        load(make_bundle(tmp_path / "bad", architecture=architecture).bundle.folder, backend=backend)
    assert "which wrote it" in caught.value.hint


def test_unknown_decoding_defaults_name_the_version_that_knows_them(tmp_path):
    with pytest.raises(BundleError, match=r"'temperature'.*which wrote it"):
        load(make_bundle(tmp_path / "bad", decoding={"temperature": 2.0}).bundle.folder)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: content[: len(content) // 2], "has .* bytes instead of"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "is damaged"),
        (lambda content: None, "is missing"),
    ],
    ids=["cut", "altered", "gone"],
)
def test_damage_to_any_file_is_refused_before_anything_is_loaded(tmp_path, monkeypatch, damage, problem):
    bundle = make_bundle(tmp_path / "bad").bundle
    monkeypatch.setattr(module, "find_backend", lambda name: lambda bundle, **use: pytest.fail("was loaded"))
    assert len(bundle.manifest.files) == 10
    for name in bundle.manifest.files:
        content = bundle.path(name).read_bytes()
        bundle.path(name).unlink()
        if (damaged := damage(content)) is not None:
            bundle.path(name).write_bytes(damaged)
        with pytest.raises(BundleError, match=f"{name}: {problem}"):
            load(bundle.folder)
        bundle.path(name).write_bytes(content)


def test_a_warning_names_the_line_that_asked_for_the_translation(hash_translator):
    translator, _ = hash_translator(max_source_tokens=3)
    text = "the cat sat on a mat"
    for translate in (translator.translate, translator.translate_nbest):
        with pytest.warns(TranslationWarning, match="cut to the 3") as caught:
            translate([text])
        line = sys._getframe().f_lineno - 1
        assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]
