"""Quality of translations, on strings and arrays."""

from automoe.evaluation.scores import Score, bleu, bleu_tokenizer, chrf

__all__ = ["Score", "bleu", "bleu_tokenizer", "chrf"]
