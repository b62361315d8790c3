"""A model and the bundle that was made of it translate alike."""

import pytest

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("sentencepiece")

from automoe.bundle import (  # noqa: E402
    CARD_FILE,
    GRAPHS,
    INT8_WEIGHTS_FILE,
    PRECISIONS,
    SEGMENTER_FILE,
    SHORTLIST_FILE,
    WEIGHTS_FILE,
    graph_file,
    read_bundle,
    read_tensors,
    weights_file,
)
from automoe.cost import costs  # noqa: E402
from automoe.decoding import beam_search  # noqa: E402
from automoe.decoding.segmenter import Segmenter  # noqa: E402
from automoe.decoding.shortlist import Shortlist  # noqa: E402
from automoe.errors import AutoMoEError, BundleError, ConfigError  # noqa: E402
from automoe.export import CardFacts, export_bundle, model_card, rewrite_card  # noqa: E402
from automoe.nn import TorchStepper, Transformer, TransformerConfig  # noqa: E402
from automoe.runtime import load  # noqa: E402
from automoe.runtime.torch_backend import open_stepper  # noqa: E402
from automoe.space import Architecture  # noqa: E402
from tests.architectures import MAXIMUM, architecture, decoder_layer, encoder_layer  # noqa: E402
from tests.runtime.tiny_bundle import DECODING, SENTENCES, segmenter_model  # noqa: E402

TOP_2 = architecture(32, [encoder_layer(48, 32, 16, top_k=2)], 24, [decoder_layer(32)])
SEGMENTER = Segmenter(segmenter_model(), None)


def export(arch, folder, *, pre_norm=True, change=None, **options):
    """A random model, which `change` may have spoiled, and its bundle in `folder`."""
    torch.manual_seed(0)
    model = Transformer(arch, TransformerConfig(vocab_size=SEGMENTER.vocab_size, pre_norm=pre_norm)).eval()
    if change is not None:
        with torch.no_grad():
            change(model)
    bundle = export_bundle(
        model,
        folder,
        segmenter_model=segmenter_model(),
        placeholder_pattern=None,
        source_language="en",
        target_language="de",
        max_source_tokens=40,
        decoding=DECODING.to_dict(),
        info={"corpus": "text"},
        **options,
    )
    return model, bundle


@pytest.mark.parametrize("arch", [MAXIMUM, TOP_2], ids=["top 1", "top 2"])
@pytest.mark.parametrize("pre_norm", [True, False])
def test_a_bundle_has_the_logits_and_translations_of_its_model(arch, pre_norm, tmp_path):
    model, bundle = export(arch, tmp_path / "bundle", pre_norm=pre_norm)
    sources = [SEGMENTER.encode(text).ids_L for text in SENTENCES if text.strip()]
    steppers = [TorchStepper(model), open_stepper(read_bundle(bundle.folder), threads=1)]
    for stepper in steppers:
        stepper.start(sources, SEGMENTER.vocab_size)
    rows = torch.arange(len(sources)).numpy()
    (ours, our_tokens), (theirs, their_tokens) = (stepper.step(rows * 0 + 2, rows) for stepper in steppers)
    assert (ours == theirs).all() and (our_tokens == their_tokens).all()

    wanted = [SEGMENTER.decode(found[0].tokens, ()) for found in beam_search(TorchStepper(model), sources, DECODING)]
    found = load(bundle.folder).translate([text for text in SENTENCES if text.strip()], batch=len(sources))
    assert found == wanted and len(set(found)) > 1


def test_a_bundle_describes_its_model(tmp_path):
    model, bundle = export(MAXIMUM, tmp_path / "bundle")
    manifest = read_bundle(bundle.folder).manifest
    graphs = {graph_file(graph, precision) for graph in GRAPHS for precision in PRECISIONS}
    assert set(manifest.files) == {WEIGHTS_FILE, INT8_WEIGHTS_FILE, SEGMENTER_FILE, CARD_FILE, *graphs}
    assert Architecture.from_dict(manifest.architecture) == MAXIMUM
    assert TransformerConfig.from_dict(manifest.model) == model.config
    assert (manifest.source_language, manifest.target_language) == ("en", "de")
    total = costs(MAXIMUM, vocab_size=SEGMENTER.vocab_size, pre_norm=True)
    assert manifest.info["costs"] == total.to_dict() and manifest.info["architecture_digest"] == MAXIMUM.digest
    assert bundle.path(SEGMENTER_FILE).read_bytes() == segmenter_model()
    sizes = {precision: bundle.path(weights_file(precision)).stat().st_size for precision in PRECISIONS}
    assert bundle.path(CARD_FILE).read_text("utf-8") == model_card(MAXIMUM, total, manifest, weights_bytes=sizes)


def test_the_weights_of_the_file_are_those_of_the_model(tmp_path):
    model, bundle = export(MAXIMUM, tmp_path / "bundle")
    state = model.state_dict()
    ours = {name: torch.from_numpy(array.copy()) for name, array in read_tensors(bundle.path(WEIGHTS_FILE)).items()}
    for tensors in (ours, safetensors_torch.load_file(bundle.path(WEIGHTS_FILE))):
        assert tensors.keys() == state.keys()
        assert all(torch.equal(tensors[name], state[name]) for name in state)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_bundle_of_one_precision_translates_in_it_and_names_what_it_lacks(tmp_path, precision):
    _, bundle = export(MAXIMUM, tmp_path / "bundle", precisions=[precision])
    assert set(bundle.manifest.files) >= {WEIGHTS_FILE, *(graph_file(graph, precision) for graph in GRAPHS)}
    assert len(load(bundle.folder, precision=precision).translate(["cat"])) == 1
    other = next(name for name in PRECISIONS if name != precision)
    with pytest.raises(ConfigError, match=f"precision={other}") as caught:
        load(bundle.folder, precision=other)
    assert (caught.value.key, caught.value.allowed) == ("precision", precision)
    assert "export.precisions" in caught.value.hint


def test_a_newer_bundle_may_have_fewer_files(tmp_path):
    shortlist = Shortlist.from_rows([], [()] * SEGMENTER.vocab_size)
    _, bundle = export(MAXIMUM, tmp_path / "bundle", shortlist=shortlist)
    assert bundle.path(SHORTLIST_FILE).read_bytes() == shortlist.to_bytes()
    _, bundle = export(MAXIMUM, tmp_path / "bundle", precisions=["float32"])
    assert {path.name for path in bundle.folder.iterdir()} == {
        *read_bundle(bundle.folder).manifest.files,
        "bundle.json",
    }
    assert not {SHORTLIST_FILE, INT8_WEIGHTS_FILE} & set(bundle.manifest.files)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_model_that_diverged_is_not_exported(tmp_path, value):
    def spoil(model):
        model.encoder_layers[1].experts.w1[2][3, 4] = value

    with pytest.raises(AutoMoEError, match=r"encoder_layers\.1\.experts\.w1\.2: .*NaN") as caught:
        export(MAXIMUM, tmp_path / "bundle", change=spoil)
    assert "earlier checkpoint" in caught.value.hint and not any(tmp_path.iterdir())


def test_a_card_is_rewritten_and_nothing_else_of_the_bundle(tmp_path):
    _, before = export(MAXIMUM, tmp_path / "bundle")
    contents = {name: before.path(name).read_bytes() for name in before.manifest.files}
    rewrite_card(before.folder, CardFacts(signature="run:mine"), {"score": 3})
    after = read_bundle(before.folder)  # its checksums are right
    assert after.manifest.info == {**before.manifest.info, "score": 3}
    changed = {name for name, content in contents.items() if after.path(name).read_bytes() != content}
    assert changed == {CARD_FILE} and "`run:mine`" in after.path(CARD_FILE).read_text("utf-8")
    assert {path.name for path in before.folder.iterdir()} == {*contents, "bundle.json"}


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BundleError, match=r"thesis\.tex"):
        export(MAXIMUM, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
