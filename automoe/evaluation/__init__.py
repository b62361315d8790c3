"""Quality of translations, and rank statistics, on strings and arrays."""

from automoe.evaluation.ranks import kendall_tau_b, spearman
from automoe.evaluation.scores import Score, bleu, bleu_tokenizer, chrf

__all__ = ["Score", "bleu", "bleu_tokenizer", "chrf", "kendall_tau_b", "spearman"]
