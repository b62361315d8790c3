"""What the bundle of a run holds, as the group `export` says, and what is measured for the profile."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import torch

from automoe.bundle import CARD_FILE, GRAPHS, PRECISIONS, SHORTLIST_FILE, graph_file, read_bundle
from automoe.data import PreparedData
from automoe.data.alignment import ShortlistConfig, build_shortlist
from automoe.decoding import EOS
from automoe.decoding.shortlist import Shortlist
from automoe.errors import ConfigError
from automoe.latency.config import ProfileConfig
from automoe.nn.model_folder import read_model
from automoe.pipeline import shipping
from automoe.pipeline.config import ExportSection, RunConfig, ShortlistSection
from automoe.pipeline.export import EXPORT, EXPORT_TAUGHT
from automoe.pipeline.shipping import Shipyard
from automoe.pipeline.stage import Inputs
from automoe.space import find_space, read_space


def graphs_of(bundle):
    return {name for name in bundle.manifest.files if name.endswith(".onnx")}


def exported(tiny_run, folder, section):
    """The bundle of the run with another group `export`."""
    folders = {stage: tiny_run.run_dir / stage / "current" for stage in EXPORT_TAUGHT.needs}
    part = EXPORT_TAUGHT.part(RunConfig(export=section))
    EXPORT_TAUGHT.run(part, Inputs(folders=folders, maybe_seed=None), folder)
    return read_bundle(folder / "bundle")


def test_the_bundle_holds_every_graph_in_both_precisions_and_the_shortlist_of_the_training_pairs(tiny_run):
    bundle, prepared = read_bundle(tiny_run.bundle), PreparedData.open(tiny_run.run_dir / "data/current")
    assert graphs_of(bundle) == {graph_file(graph, precision) for graph in GRAPHS for precision in PRECISIONS}
    vocab_size = prepared.summary.vocab_size
    pairs = prepared.ids("train", "src"), prepared.ids("train", "tgt")
    assert bundle.path(SHORTLIST_FILE).read_bytes() == build_shortlist(*pairs, vocab_size).to_bytes()


def test_what_is_not_asked_for_is_not_in_the_bundle_and_not_on_its_card(tiny_run, tmp_path):
    section = ExportSection(precisions=("float32",), shortlist=ShortlistSection(build=False))
    bundle = exported(tiny_run, tmp_path, section)
    assert graphs_of(bundle) == {graph_file(graph, "float32") for graph in GRAPHS}
    assert SHORTLIST_FILE not in bundle.manifest.files
    card, whole = ((folder / CARD_FILE).read_text() for folder in (bundle.folder, tiny_run.bundle))
    for phrase in ("--precision int8", "weights in int8", "--shortlist"):
        assert phrase not in card and phrase in whole
    assert "`[runtime]`" in card and "`[runtime]`" in whole


def test_the_keys_of_the_shortlist_shape_it(tiny_run, tmp_path):
    section = ExportSection(shortlist=ShortlistSection(frequent=3, per_token=1))
    path = exported(tiny_run, tmp_path, section).path(SHORTLIST_FILE)
    vocab_size = PreparedData.open(tiny_run.run_dir / "data/current").summary.vocab_size
    found = Shortlist.from_bytes(path.read_bytes(), file=path, vocab_size=vocab_size)
    assert len(found.always_A) <= 3 + 2 + 1 and max(found.offset_V[1:] - found.offset_V[:-1]) <= 1


def test_precisions_in_another_order_are_the_same_and_settings_of_no_shortlist_mean_nothing():
    def part(**settings):
        return EXPORT.part(RunConfig(export=ExportSection(**settings)))

    assert part(precisions=("int8", "float32")) == part()
    unread = ShortlistSection(build=False, frequent=7)
    assert part(shortlist=unread) == part(shortlist=ShortlistSection(build=False)) != part()


@pytest.mark.parametrize("name", ["per_token", "frequent", "iterations", "min_count"])
def test_a_wrong_number_is_refused_with_the_key_that_a_user_would_set(name):
    assert name in ShortlistConfig.__dataclass_fields__
    with pytest.raises(ConfigError) as error:
        ShortlistSection(**{name: 0})
    assert error.value.key == f"export.shortlist.{name}"


@pytest.mark.parametrize(
    ("backend", "precision", "graphs"),
    [
        ("onnx", "float32", ["float32"]),
        ("onnx", "int8", ["int8"]),
        ("torch", "float32", []),
        ("torch", "bfloat16", []),
    ],
)
def test_what_is_measured_is_written_with_the_graphs_that_it_runs_and_no_others(
    tiny_run, tmp_path, monkeypatch, backend, precision, graphs
):
    opened = []

    def spying(folder):
        opened.append(read_bundle(folder))
        return opened[-1]

    monkeypatch.setattr(shipping, "read_bundle", spying)
    supernet = read_model(tiny_run.run_dir / "supernet/current")
    prepared = PreparedData.open(tiny_run.run_dir / "data/current")
    yard = Shipyard(supernet, prepared, tmp_path, backend=backend, precision=precision, threads=1)
    stepper = yard.open(read_space(find_space("tiny")).smallest())
    (bundle,) = opened
    assert graphs_of(bundle) == {graph_file(graph, name) for graph in GRAPHS for name in graphs}
    assert SHORTLIST_FILE not in bundle.manifest.files
    assert not list(tmp_path.iterdir())
    stepper.start([prepared.ids("valid", "src")[0]], 4)  # it needs nothing of the folder that is gone


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_what_is_prepared_is_what_is_measured_and_the_supernet_stays(tiny_run, tmp_path, backend):
    """With every word alike, no first token is likelier than another."""
    supernet = read_model(tiny_run.run_dir / "supernet/current")
    before = {name: weight.clone() for name, weight in supernet.state_dict().items()}
    prepared = PreparedData.open(tiny_run.run_dir / "data/current")
    yard = Shipyard(
        supernet,
        prepared,
        tmp_path,
        backend=backend,
        precision="float32",
        threads=1,
        prepare=lambda model: model.embedding.data.fill_(0.5),
    )
    stepper = yard.open(read_space(find_space("tiny")).smallest())
    stepper.start([prepared.ids("valid", "src")[0]], 8)
    scores, _ = stepper.step(np.array([EOS]), np.array([0]))
    np.testing.assert_allclose(scores, -np.log(supernet.config.vocab_size), atol=1e-4)
    assert all(torch.equal(weight, before[name]) for name, weight in supernet.state_dict().items())


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_a_device_that_is_not_there_is_refused_by_the_key_of_the_user_before_anything_is_shipped(tmp_path, backend):
    with pytest.raises(ConfigError, match=r"profile\.device=cuda:99: .*allowed: cpu"):
        Shipyard(None, None, tmp_path, backend=backend, precision="float32", threads=1, device="cuda:99")


def test_bfloat16_is_measured_by_torch_alone_and_asks_nothing_of_the_bundle():
    RunConfig(
        profile=ProfileConfig(backend="torch", precision="bfloat16"), export=ExportSection(precisions=("float32",))
    )
    with pytest.raises(
        ConfigError, match=r"profile\.precision=bfloat16: .*float32, int8\)\. Set profile\.backend=torch"
    ):
        RunConfig(profile=ProfileConfig(precision="bfloat16"))
    with pytest.raises(ConfigError, match=r"profile\.precision=float16: .*float32, int8, bfloat16\)$"):
        RunConfig(profile=ProfileConfig(backend="torch", precision="float16"))
