import pytest
from hypothesis import given
from hypothesis import strategies as st

from automoe.errors import DataError
from automoe.evaluation import bleu, bleu_tokenizer, chrf

SENTENCES = ["The lamp in the kitchen is on.", "Turn off the heating, please.", "Could not connect to the camera."]


@pytest.mark.parametrize("metric", [bleu, chrf])
def test_a_perfect_translation_scores_100_and_garbage_near_0(metric):
    assert metric(SENTENCES, SENTENCES).value == pytest.approx(100)
    assert metric(["zz"] * 3, SENTENCES).value < 1


def test_bleu_equals_a_hand_computed_value():
    # One sentence of 6 tokens, one substitution at its end: precisions 5/6, 4/5, 3/4, 2/3; no brevity penalty.
    expected = 100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25
    assert bleu(["a b c d e x"], ["a b c d e f"]).value == pytest.approx(expected)


def test_signatures_name_what_changes_the_number():
    assert "tok:13a" in bleu(SENTENCES, SENTENCES).signature
    assert "tok:char" in bleu(SENTENCES, SENTENCES, tokenize="char").signature
    assert "nw:0" in chrf(SENTENCES, SENTENCES).signature
    plus = chrf(SENTENCES, SENTENCES, word_order=2)
    assert plus.name == "chrF++" and "nw:2" in plus.signature


@given(st.permutations(range(3)))
def test_the_order_of_sentences_does_not_matter(order):
    hypotheses = ["The lamp is on.", "Turn the heating off.", "Could not connect."]
    shuffled = bleu([hypotheses[i] for i in order], [SENTENCES[i] for i in order])
    assert shuffled.value == pytest.approx(bleu(hypotheses, SENTENCES).value)


@pytest.mark.parametrize("metric", [bleu, chrf])
def test_unequal_or_empty_lists_are_errors(metric):
    with pytest.raises(DataError, match="2 hypotheses for 3 references"):
        metric(SENTENCES[:2], SENTENCES)
    with pytest.raises(DataError, match="no hypotheses"):
        metric([], [])


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [
        ("zh-Hans", "zh"),
        ("zh_TW", "zh"),
        ("ZH", "zh"),
        ("ja", "char"),
        ("ko", "char"),
        ("de", "13a"),
        ("pt-BR", "13a"),
    ],
)
def test_the_tokenizer_is_that_of_the_language_and_scores(language, tokenizer):
    assert bleu_tokenizer(language) == tokenizer
    assert f"tok:{tokenizer}" in bleu(SENTENCES, SENTENCES, tokenize=bleu_tokenizer(language)).signature


def test_a_language_without_spaces_is_not_scored_by_whole_sentences():
    hypotheses, references = ["打开客厅的大灯"], ["打开客厅的小灯"]
    assert bleu(hypotheses, references).value < 1
    assert bleu(hypotheses, references, tokenize=bleu_tokenizer("zh-Hans")).value > 30
