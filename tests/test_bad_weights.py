"""Weights of another space, size or vocabulary, given to a run: what the user reads, through the command line."""

from dataclasses import replace

import pytest

from automoe.cli import main
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import write_model
from automoe.space import find_space, read_space
from tests.conftest import CORPUS, TINY_SIZES

FILES = [
    f"data.{split}_{side}={CORPUS / split}.{language}"
    for split in ("train", "valid", "test")
    for side, language in (("source", "en"), ("target", "de"))
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def refused(runs, tmp_path, capfd, monkeypatch):
    """Begins a run with the weights of a folder, which must be refused; gives what is said."""
    monkeypatch.chdir(tmp_path)

    def run(folder, *overrides):
        arguments = ["data=text", *FILES, *TINY_SIZES, f"runs_dir={runs}", "run=tiny", f"supernet.weights={folder}"]
        try:
            status = main(["supernet", *arguments, *overrides])
        except SystemExit as end:
            status = end.code
        out, err = capfd.readouterr()
        assert (status, out) == (2, "") and "Traceback" not in err and not (runs / "tiny/supernet/current").exists()
        return err

    return run


@pytest.fixture
def supernet(tmp_path):
    """Writes the untrained weights of a space's supernet; `info` goes into model.json."""

    def write(name="tiny", vocab_size=200, **info):
        model = Transformer(read_space(find_space(name)).envelope(), TransformerConfig(vocab_size=vocab_size))
        write_model(model, tmp_path, **info)
        return tmp_path

    return write


def test_the_supernet_of_another_space_of_the_same_sizes_is_named(refused, supernet):
    digest = read_space(find_space("tiny")).digest
    message = refused(supernet(space="0123456789ab"))
    assert f"the supernet of another space (digest 0123456789ab, not {digest})" in message
    assert "Train it anew, or search the space that it was trained for" in message


def test_more_experts_than_were_trained_are_named_with_their_layer(refused, supernet, tmp_path):
    folder = supernet()
    sizes = read_space(find_space("tiny")).envelope()
    layer = replace(sizes.encoder.layers[1], expert_widths=sizes.encoder.layers[1].expert_widths[:1], top_k=1)
    few = replace(sizes, encoder=replace(sizes.encoder, layers=(sizes.encoder.layers[0], layer)))
    write_model(Transformer(few, TransformerConfig(vocab_size=200)), folder)
    message = refused(folder)
    assert f"encoder.layers[1].expert_widths={list(sizes.encoder.layers[1].expert_widths)} is asked for" in message
    assert "there is up to 1 expert(s)" in message and "another architecture (2+" in message


def test_weights_of_another_vocabulary_are_named_with_both(refused, supernet):
    assert "has a vocabulary of 300 pieces, the corpus one of 200" in refused(supernet(vocab_size=300))
    message = refused(supernet(segmenter="0123456789ab"))
    assert "another vocabulary of 200 pieces than the corpus (segmenter 0123456789ab, not " in message


def test_weights_with_the_norms_elsewhere_are_named(refused, supernet):
    assert "pre_norm=True, the one to train False" in refused(supernet(), "model=post_norm")
