"""Corpus BLEU and chrF by sacreBLEU (Post 2018), with the signatures that make them comparable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from automoe.errors import DataError, DependencyError

_TOKENIZERS = {"zh": "zh", "ja": "char", "ko": "char"}


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of a whole test set."""

    name: str
    value: float
    """0 to 100; higher is better."""
    signature: str
    """sacreBLEU's signature: version and every setting that changes the number."""

    def __str__(self) -> str:
        return f"{self.name} {self.value:.2f} ({self.signature})"


def bleu(hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str = "13a") -> Score:
    """Corpus BLEU (Papineni et al. 2002) with one reference a sentence.

    Args:
        hypotheses: translations, as text.
        references: one for each translation, in the same order.
        tokenize: sacreBLEU's tokeniser; see `bleu_tokenizer`.

    Raises:
        DataError: there are no hypotheses, or not as many as references.
        DependencyError: sacrebleu is not installed.
    """
    return _score("BLEU", _sacrebleu().BLEU(tokenize=tokenize), hypotheses, references)


def bleu_tokenizer(language: str) -> str:
    """sacreBLEU's tokeniser for a target language; its default, 13a, finds words between spaces.

    Args:
        language: language code, such as "de" or "zh-Hans"; what follows the first "-" or "_" does not count.

    Returns:
        "zh" for Chinese, and "char" for Japanese and Korean, whose tokenisers of words (ja-mecab, ko-mecab) need
        further packages; "13a" for all others.
    """
    return _TOKENIZERS.get(re.split("[-_]", language)[0].lower(), "13a")


def chrf(hypotheses: Sequence[str], references: Sequence[str], *, word_order: int = 0) -> Score:
    """Corpus chrF2 (Popović 2015); `word_order=2` gives chrF++. Arguments and errors as for `bleu`."""
    return _score("chrF" + "+" * word_order, _sacrebleu().CHRF(word_order=word_order), hypotheses, references)


def _sacrebleu() -> Any:
    try:
        from sacrebleu import metrics
    except ImportError as error:
        raise DependencyError("sacrebleu", extra="train") from error
    return metrics


def _score(name: str, metric: Any, hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    if len(hypotheses) != len(references):
        raise DataError(f"there are {len(hypotheses)} hypotheses for {len(references)} references")
    if not hypotheses:
        raise DataError("there are no hypotheses to score")
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Score(name=name, value=float(value), signature=metric.get_signature().format())
