"""`automoe convert`: a bundle in another format."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from automoe.cli import main  # noqa: E402
from tests.architectures import MAXIMUM, architecture, decoder_layer, encoder_layer  # noqa: E402
from tests.export.sharp_models import export_sharp, sharp_transformer  # noqa: E402

DENSE = architecture(16, [encoder_layer(16)], 16, [decoder_layer(16)])


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    return str(export_sharp(sharp_transformer(DENSE), tmp_path_factory.mktemp("dense") / "bundle").folder)


@pytest.mark.parametrize(
    ("options", "files"),
    [
        (
            ["--to", "ctranslate2", "--quantization", "int8"],
            {"config.json", "model.bin", "segmenter.model", "shared_vocabulary.json"},
        ),
        (["--to", "torch"], {"decoder_step.pt2", "encoder.pt2", "segmenter.model"}),
        (["--to", "fairseq"], {"checkpoint.pt", "dict.de.txt", "dict.en.txt", "sentencepiece.model"}),
    ],
)
def test_one_line_says_what_was_written_and_how_to_load_it(dense, tmp_path, capsys, options, files):
    if options[1] == "ctranslate2":
        pytest.importorskip("ctranslate2")
    folder = tmp_path / "out"
    assert main(["convert", dense, *options, "-o", str(folder)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"wrote {folder} ({options[1]}, ")
    assert "to load it: " in line
    assert {path.name for path in folder.iterdir()} == files


def test_a_mistyped_format_is_guessed(dense, tmp_path, capsys):
    assert main(["convert", dense, "--to", "fairsec", "-o", str(tmp_path / "out")]) == 2
    assert "--to=fairsec: there is no such format" in (error := capsys.readouterr().err)
    assert "Did you mean 'fairseq'?" in error


def test_a_folder_that_holds_something_is_refused(dense, tmp_path, capsys):
    (tmp_path / "mine").touch()
    assert main(["convert", dense, "--to", "fairseq", "-o", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_experts_are_refused_by_ctranslate2_layer_by_layer(tmp_path, capsys):
    pytest.importorskip("ctranslate2")
    bundle = export_sharp(sharp_transformer(MAXIMUM), tmp_path / "bundle").folder
    assert main(["convert", str(bundle), "--to", "ctranslate2", "-o", str(tmp_path / "out")]) == 2
    assert "encoder layer 1 has 4 experts" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
