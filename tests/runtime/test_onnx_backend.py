"""Bundles that ONNX Runtime cannot run, or not so, are refused with what is wrong; checksums are right in all."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
safetensors_numpy = pytest.importorskip("safetensors.numpy")
pytest.importorskip("sentencepiece")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from automoe.bundle import (  # noqa: E402
    GRAPHS,
    INT8_WEIGHTS_FILE,
    PRECISIONS,
    SHORTLIST_FILE,
    graph_file,
    read_tensors,
    tensor_shapes,
    weights_file,
)
from automoe.decoding.segmenter import Segmenter  # noqa: E402
from automoe.decoding.shortlist import Shortlist  # noqa: E402
from automoe.errors import BundleError, ConfigError  # noqa: E402
from automoe.runtime import load  # noqa: E402
from tests.runtime.tiny_bundle import make_bundle, sealed_again, segmenter_model, with_tensors  # noqa: E402

EXPERT = "decoder_layers.2.experts.w2.1"
TEXT = ["the cat sat"]


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundle").bundle


def without(*names):
    return lambda tensors: {name: array for name, array in tensors.items() if name not in names}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", [EXPERT, "encoder_layers.1.experts.router_weight", "encoder_norm.bias"])
def test_a_missing_tensor_is_named(bundle, precision, name):
    with_tensors(bundle, weights_file(precision), without(name))
    with pytest.raises(BundleError, match=r"lacks 1 tensor") as caught:
        load(bundle.folder, precision=precision)
    assert caught.value.key == name and weights_file(precision) in caught.value.file
    assert caught.value.hint == "Export the bundle again"


def test_a_missing_scale_of_int8_weights_is_named(bundle):
    with_tensors(bundle, INT8_WEIGHTS_FILE, without(f"{EXPERT}.scale"))
    with pytest.raises(BundleError, match="lacks 1 tensor") as caught:
        load(bundle.folder, precision="int8")
    assert caught.value.key == f"{EXPERT}.scale"
    assert load(bundle.folder).translate(TEXT), "the other precision works on"


@pytest.mark.parametrize(
    ("precision", "name"), [("float32", EXPERT), ("int8", f"{EXPERT}.scale"), ("int8", "decoder_norm.weight")]
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_named(bundle, precision, name, value):
    def spoil(tensors):
        tensors[name].ravel()[-1:] = value
        return tensors

    with_tensors(bundle, weights_file(precision), spoil)
    with pytest.raises(BundleError, match="NaN") as caught:
        load(bundle.folder, precision=precision)
    assert caught.value.key == name and "earlier checkpoint" in caught.value.hint


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_in_another_order_than_the_graphs_expect_are_refused(bundle, precision):
    name = weights_file(precision)
    tensors = {key: np.array(array) for key, array in read_tensors(bundle.path(name)).items()}
    sealed_again(bundle, {name: safetensors_numpy.save(tensors)})  # the library sorts as it likes
    with pytest.raises(BundleError) as caught:
        load(bundle.folder, precision=precision)
    assert "Export the bundle again" in caught.value.hint


@pytest.mark.parametrize("graph", ["encoder", "decoder"])
@pytest.mark.parametrize("content", [b"", b"no graph", None], ids=["empty", "text", "cut"])
def test_a_graph_that_is_none_is_refused(bundle, capfd, graph, content):
    name = graph_file(graph, "float32")
    sealed_again(bundle, {name: bundle.path(name).read_bytes()[:-1000] if content is None else content})
    with pytest.raises(BundleError, match="cannot be opened by ONNX Runtime") as caught:
        load(bundle.folder)
    assert caught.value.file.endswith(name) and "Export the bundle again" in caught.value.hint
    assert capfd.readouterr() == ("", ""), "ONNX Runtime says nothing of its own"


@pytest.mark.parametrize("missing", [graph_file("encoder", "float32"), graph_file("decoder", "float32")])
def test_a_bundle_without_graphs_says_how_to_get_them(bundle, missing):
    sealed_again(bundle, {missing: None})
    with pytest.raises(BundleError, match=f"no file '{missing}'") as caught:
        load(bundle.folder)
    assert "Export it again with this AutoMoE" in caught.value.hint and "backend torch" in caught.value.hint
    assert load(bundle.folder, precision="int8").translate(TEXT)


def test_a_precision_that_the_bundle_was_not_exported_in_is_refused_with_those_that_it_was(bundle):
    sealed_again(bundle, {graph_file(graph, "int8"): None for graph in GRAPHS} | {INT8_WEIGHTS_FILE: None})
    translator = load(bundle.folder)
    for ask in (
        lambda: load(bundle.folder, precision="int8"),
        lambda: translator.translate(TEXT, precision="int8"),
    ):
        with pytest.raises(ConfigError, match="precision=int8") as caught:
            ask()
        assert (caught.value.key, caught.value.allowed) == ("precision", "float32")
        assert "export.precisions" in caught.value.hint


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("side", "key", "value"),
    [
        ("encoder", "heads", 2),
        ("encoder", "top_k", 2),
        ("decoder", "heads", 2),
        ("decoder", "top_k", 2),
        ("decoder", "cross_heads", 2),
        ("decoder", "cross_layers", 2),
    ],
)
def test_graphs_of_another_model_whose_weights_have_the_same_shapes_are_refused(bundle, precision, side, key, value):
    architecture, model = copy.deepcopy(bundle.manifest.architecture), bundle.manifest.model
    layer = next(layer for layer in architecture[side]["layers"] if len(layer["expert_widths"]) > 1)
    assert layer[key] != value
    layer[key] = value
    assert tensor_shapes(architecture, model) == tensor_shapes(bundle.manifest.architecture, model)
    sealed_again(bundle, {}, architecture=architecture)
    with pytest.raises(BundleError, match="made for another model") as caught:
        load(bundle.folder, precision=precision)
    assert Path(caught.value.file).name in {graph_file(graph, precision) for graph in GRAPHS}
    assert caught.value.hint


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("name", "other", "shortlist"),
    [
        ("encoder", "decoder", False),
        ("decoder", "encoder", False),
        ("decoder", "decoder_shortlist", False),
        ("decoder_shortlist", "decoder", True),
    ],
)
def test_a_graph_under_the_name_of_another_is_refused(tmp_path, precision, name, other, shortlist):
    every = Shortlist.from_rows([], [()] * Segmenter(segmenter_model()).vocab_size)
    bundle = make_bundle(tmp_path / "bundle", shortlist=every).bundle
    file = graph_file(name, precision)
    sealed_again(bundle, {file: bundle.path(graph_file(other, precision)).read_bytes()})
    with pytest.raises(BundleError, match="made for another") as caught:
        load(bundle.folder, precision=precision, shortlist=shortlist)
    assert Path(caught.value.file).name == file


def test_a_bundle_of_an_older_version_says_so_and_runs_with_torch(bundle):
    wanted = load(bundle.folder).translate(TEXT)
    newer = {graph_file(graph, precision): None for graph in GRAPHS for precision in PRECISIONS}
    sealed_again(bundle, newer | {INT8_WEIGHTS_FILE: None})
    for precision in PRECISIONS:
        with pytest.raises(BundleError) as caught:
            load(bundle.folder, precision=precision)
        assert "Export it again" in caught.value.hint and "backend torch" in caught.value.hint
    assert load(bundle.folder, backend="torch").translate(TEXT) == wanted


def test_a_shortlist_that_the_bundle_has_not_is_refused(bundle):
    for ask in (
        lambda: load(bundle.folder, shortlist=True),
        lambda: load(bundle.folder).translate([], shortlist=True),
    ):
        with pytest.raises(ConfigError, match=f"shortlist=True: the bundle has no {SHORTLIST_FILE}") as caught:
            ask()
        assert "without a shortlist" in caught.value.hint and "export.shortlist.build=true" in caught.value.hint


def test_a_shortlist_of_another_vocabulary_is_refused(bundle):
    sealed_again(bundle, {SHORTLIST_FILE: Shortlist.from_rows([], [()] * 17).to_bytes()})
    with pytest.raises(BundleError, match="for another vocabulary") as caught:
        load(bundle.folder, shortlist=True)
    assert caught.value.file.endswith(SHORTLIST_FILE)
    assert load(bundle.folder).translate(TEXT)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_shortlist_decides_which_words_there_are(tmp_path, precision):
    vocab_size = make_bundle(tmp_path / "plain").transformer.config.vocab_size
    every, none = (Shortlist.from_rows(range(count), [()] * vocab_size) for count in (vocab_size, 0))
    texts = ["the cat sat on a mat", "two dogs"]
    translators = [
        load(make_bundle(tmp_path / name, shortlist=shortlist).bundle.folder, precision=precision)
        for name, shortlist in (("every", every), ("none", none))
    ]
    whole = translators[0].translate_nbest(texts)
    listed = translators[0].translate_nbest(texts, shortlist=True)
    assert [nbest[0].tokens for nbest in listed] == [nbest[0].tokens for nbest in whole]
    for ours, theirs in zip(listed, whole, strict=True):
        assert [t.score for t in ours] == pytest.approx([t.score for t in theirs], abs=1e-4)
    for text, nbest in zip(texts, translators[1].translate_nbest(texts, batch=1, shortlist=True), strict=True):
        allowed = none.tokens([Segmenter(segmenter_model()).encode(text).ids_L])
        assert {token for translation in nbest for token in translation.tokens} <= set(allowed.tolist())


def test_an_unknown_precision_is_refused_with_those_that_exist(bundle):
    with pytest.raises(ConfigError, match=r"precision=int4: .*float32, int8"):
        load(bundle.folder, precision="int4")


@pytest.mark.parametrize("use", [{"precision": "int8"}, {"shortlist": True}])
def test_what_the_backend_torch_cannot_do_names_the_one_that_can(bundle, use):
    with pytest.raises(ConfigError, match="backend torch") as caught:
        load(bundle.folder, backend="torch", **use)
    assert caught.value.hint == "Use the backend onnx"
