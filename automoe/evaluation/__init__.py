"""Quality of translations, on strings and arrays."""

from automoe.evaluation.scores import Score, bleu, chrf

__all__ = ["Score", "bleu", "chrf"]
