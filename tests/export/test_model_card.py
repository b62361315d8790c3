"""The model card says what is true of the model at hand."""

import re

import pytest

pytest.importorskip("torch")

from automoe.bundle import BundleManifest
from automoe.cost import costs
from automoe.decoding import SearchConfig
from automoe.export import CardFacts, MeasuredLatency, SampleTranslation, TestScore, model_card
from automoe.export.markdown import escaped
from automoe.space import architecture_table
from tests.architectures import MAXIMUM, architecture, decoder_layer, encoder_layer

TOP_2 = architecture(32, [encoder_layer(48, 32, 16, top_k=2)], 24, [decoder_layer(32)])


def card(arch, facts=None, source_language="en"):
    manifest = BundleManifest(
        architecture=arch.to_dict(),
        model={"vocab_size": 100},
        source_language=source_language,
        target_language="pt-BR",
        placeholder_pattern=None,
        max_source_tokens=40,
        decoding=SearchConfig(beam=3).to_dict(),
        info={"corpus": "text", "costs": {"flops": 1}},
    )
    return model_card(arch, costs(arch, vocab_size=100, pre_norm=True), manifest, facts=facts)


@pytest.mark.parametrize("arch", [MAXIMUM, TOP_2])
def test_the_card_shows_the_languages_the_architecture_and_its_costs(arch):
    text, total = card(arch), costs(arch, vocab_size=100, pre_norm=True)
    assert text.startswith("# Translation model en-pt-BR\n")
    for part in (arch.digest, architecture_table(arch), f"{total.params_total:,}", f"{total.flops:,}"):
        assert part in text
    assert "- corpus: text\n" in text and "beam 3" in text and "Longest source: 40 tokens" in text


def test_the_card_names_the_number_of_experts_that_run_only_layer_by_layer():
    assert set(re.findall(r"[Tt]op.(\d)", card(TOP_2))) == {"2"}
    assert set(re.findall(r"[Tt]op.(\d)", card(MAXIMUM))) == {"1"}


def test_the_card_names_no_package_that_cannot_be_downloaded():
    assert "pip install" not in card(MAXIMUM) and "[torch]" in card(MAXIMUM)


NASTY = "a | b\n# c `d` <script>e</script> *f* [g](h) \\"


def test_what_is_not_known_is_not_said():
    for text in (card(MAXIMUM), card(MAXIMUM, CardFacts())):
        for section in ("Budget", "Quality", "Translations", "Data", "Training", "Signature"):
            assert f"## {section}" not in text
    assert "atency" not in card(MAXIMUM) and "Its latency was not measured." in card(MAXIMUM, CardFacts())


def test_a_dense_model_is_not_said_to_have_experts():
    dense = architecture(32, [encoder_layer(48)], 24, [decoder_layer(32)])
    assert "mixture" not in card(dense) and "mixture-of-experts" in card(MAXIMUM)


def test_text_by_others_changes_nothing_but_itself():
    def told(text):
        return CardFacts(
            data={"corpus": text},
            training={"teacher": text},
            scores=(TestScore(name="BLEU", value=20.0, signature=text),),
            samples=(SampleTranslation(source=text, translation=text, reference=text),),
            scored_with=text,
            latency=MeasuredLatency(ms=2, low_ms=1, high_ms=3, circumstances=text),
        )

    plain, nasty = (card(MAXIMUM, told(text), source_language=text) for text in ("TEXT", NASTY))
    assert nasty == plain.replace("TEXT", escaped(NASTY)) and plain.count("TEXT") == 10
    assert "<" not in re.sub(r"\\.", "", nasty)
