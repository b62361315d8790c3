"""The model card says what is true of the model at hand."""

import re

import pytest

pytest.importorskip("torch")

from automoe.bundle import BundleManifest
from automoe.cost import costs
from automoe.decoding import SearchConfig
from automoe.export import model_card
from automoe.space import architecture_table
from tests.architectures import MAXIMUM, architecture, decoder_layer, encoder_layer

TOP_2 = architecture(32, [encoder_layer(48, 32, 16, top_k=2)], 24, [decoder_layer(32)])


def card(arch):
    manifest = BundleManifest(
        architecture=arch.to_dict(),
        model={"vocab_size": 100},
        source_language="en",
        target_language="pt-BR",
        placeholder_pattern=None,
        max_source_tokens=40,
        decoding=SearchConfig(beam=3).to_dict(),
        info={"corpus": "text", "costs": {"flops": 1}},
    )
    return model_card(arch, costs(arch, vocab_size=100, pre_norm=True), manifest)


@pytest.mark.parametrize("arch", [MAXIMUM, TOP_2])
def test_the_card_shows_the_languages_the_architecture_and_its_costs(arch):
    text, total = card(arch), costs(arch, vocab_size=100, pre_norm=True)
    assert text.startswith("# Translation model en-pt-BR\n")
    for part in (arch.digest, architecture_table(arch), f"{total.params_total:,}", f"{total.flops:,}"):
        assert part in text
    assert "- corpus: text\n" in text and "beam 3" in text and "longest source: 40 tokens" in text


def test_the_card_names_the_number_of_experts_that_run_only_layer_by_layer():
    assert set(re.findall(r"[Tt]op.(\d)", card(TOP_2))) == {"2"}
    assert set(re.findall(r"[Tt]op.(\d)", card(MAXIMUM))) == {"1"}


def test_the_card_names_no_package_that_cannot_be_downloaded():
    assert "pip install" not in card(MAXIMUM) and "[torch]" in card(MAXIMUM)
