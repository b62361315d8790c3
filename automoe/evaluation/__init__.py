"""Quality of translations, and rank statistics, on strings and arrays."""

from automoe.evaluation.fidelity import Estimate, Fidelity, FidelityConfig, FidelityRow, depth_then, rank_fidelity
from automoe.evaluation.published_bleu import PublishedBleu, read_published_bleu
from automoe.evaluation.ranks import kendall_tau_b, spearman
from automoe.evaluation.scores import Score, bleu, bleu_tokenizer, chrf
from automoe.evaluation.seed_noise import clear_pairs, seed_noise

__all__ = [
    "Estimate",
    "Fidelity",
    "FidelityConfig",
    "FidelityRow",
    "PublishedBleu",
    "Score",
    "bleu",
    "bleu_tokenizer",
    "chrf",
    "clear_pairs",
    "depth_then",
    "kendall_tau_b",
    "rank_fidelity",
    "read_published_bleu",
    "seed_noise",
    "spearman",
]
