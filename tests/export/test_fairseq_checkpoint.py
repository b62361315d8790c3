"""fairseq scores and translates with the checkpoint as we do with the model."""

from __future__ import annotations

import shlex
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("fairseq")

from fairseq import checkpoint_utils  # noqa: E402

import automoe.training.registration  # noqa: E402, F401
from automoe.decoding import EOS, PAD, SearchConfig, search  # noqa: E402
from automoe.export.fairseq_checkpoint import checkpoint_of, dictionary_text, is_stock  # noqa: E402
from automoe.export.formats import convert, find_format  # noqa: E402
from automoe.nn import TorchStepper  # noqa: E402
from automoe.runtime import load  # noqa: E402
from tests.architectures import MAXIMUM, architecture, decoder_layer, encoder_layer  # noqa: E402
from tests.export.sharp_models import PIECES, export_sharp, sharp_transformer  # noqa: E402

STOCK = architecture(16, [encoder_layer(32)] * 2, 16, [decoder_layer(24)] * 3)
STOCK_OF_TWO_DIMS = architecture(24, [encoder_layer(32, qkv_dim=24)] * 2, 16, [decoder_layer(24)])


def load_in_fairseq(transformer, folder):
    """fairseq's ensemble of one, and its task."""
    for language in ("en", "de"):
        (folder / f"dict.{language}.txt").write_text(dictionary_text(PIECES), encoding="utf-8")
    path = folder / "checkpoint.pt"
    torch.save(checkpoint_of(transformer, "en", "de"), path)
    models, _, task = checkpoint_utils.load_model_ensemble_and_task([str(path)], arg_overrides={"data": str(folder)})
    assert task.source_dictionary.symbols == task.target_dictionary.symbols == PIECES
    return [model.eval() for model in models], task


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize(
    ("arch", "kind"),
    [
        (STOCK, "TransformerModel"),
        (STOCK_OF_TWO_DIMS, "TransformerModel"),
        (MAXIMUM, "AutoMoETransformerModel"),
    ],
)
def test_fairseq_scores_and_translates_as_we_do(arch, kind, pre_norm, tmp_path):
    transformer = sharp_transformer(arch, pre_norm=pre_norm)
    models, task = load_in_fairseq(transformer, tmp_path)
    assert type(models[0]).__name__ == kind

    generator = torch.Generator().manual_seed(0)
    source_BS = torch.randint(4, len(PIECES), (4, 8), generator=generator)
    source_BS[:, -1] = EOS
    target_BL = torch.randint(4, len(PIECES), (4, 6), generator=generator)
    target_BL[:, 0] = EOS
    padded_BS = source_BS.clone()
    padded_BS[1, 4:] = torch.tensor([EOS, PAD, PAD, PAD])
    lengths = (padded_BS != PAD).sum(dim=1)
    logits_BLV = models[0](padded_BS, lengths, target_BL)[0]
    wanted_BLV = transformer(padded_BS, target_BL).logits_NLV.log_softmax(dim=2)
    torch.testing.assert_close(logits_BLV.log_softmax(dim=2), wanted_BLV, atol=1e-4, rtol=0)

    # Sources of one length: fairseq's longest output follows from the longest source of the batch.
    sequence_generator = task.build_generator(models, Namespace(beam=5, max_len_a=1.0, max_len_b=5))
    sample = {"net_input": {"src_tokens": source_BS, "src_lengths": torch.full((4,), 8)}}
    theirs = sequence_generator.generate(models, sample)
    config = SearchConfig(beam=5, max_ratio=1.0, max_extra=5)
    ours = search(TorchStepper(transformer), list(source_BS.numpy()), config)
    for our_nbest, their_nbest in zip(ours, theirs, strict=True):
        assert [h.tokens.tolist() for h in our_nbest] == [h["tokens"].tolist() for h in their_nbest]


@pytest.mark.parametrize("arch", [STOCK, MAXIMUM])
def test_the_printed_command_translates_as_the_bundle_does(arch, tmp_path):
    transformer = sharp_transformer(arch)
    bundle = export_sharp(transformer, tmp_path / "bundle")
    usage = convert(transformer, bundle, tmp_path / "for fairseq", find_format("fairseq"))
    bin_folder = Path(sys.executable).parent
    text = "the old cat ran on while two dogs sat\n"
    command = usage.replace("$(automoe ", f"$({shlex.quote(str(bin_folder))}/automoe ")
    done = subprocess.run(
        f"{bin_folder}/{command} --cpu", shell=True, input=text, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = [line.split("\t")[2] for line in done.stdout.splitlines() if line.startswith("D-")]
    assert found == load(bundle.folder).translate([text])


@pytest.mark.parametrize(
    ("arch", "why"),
    [
        (architecture(16, [encoder_layer(8), encoder_layer(16)], 16, [decoder_layer(8)]), "widths differ"),
        (architecture(16, [encoder_layer(8), encoder_layer(8, heads=2)], 16, [decoder_layer(8)]), "heads differ"),
        (architecture(16, [encoder_layer(8, 8)], 16, [decoder_layer(8)]), "experts"),
        (architecture(16, [encoder_layer(8, qkv_dim=8)], 16, [decoder_layer(8)]), "attention is narrower"),
        (architecture(16, [encoder_layer(8)], 16, [decoder_layer(8, cross_heads=2)]), "cross-attention's heads"),
        (architecture(16, [encoder_layer(8)], 16, [decoder_layer(8, cross_qkv_dim=8)]), "its width"),
        (architecture(16, [encoder_layer(8)] * 2, 16, [decoder_layer(8, cross_layers=2)]), "attended layers"),
    ],
)
def test_what_fairseqs_own_model_cannot_hold_is_not_stock(arch, why):
    assert not is_stock(arch), why
