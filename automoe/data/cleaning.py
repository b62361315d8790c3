"""Which sentence pairs are fit for training, and why the others are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from automoe.data.config import CleaningConfig
from automoe.decoding.placeholders import find_placeholders
from automoe.decoding.segmenter import normalise

Pair = tuple[str, str]

DROP_REASONS = (
    "newline",
    "empty",
    "too long",
    "placeholders differ",
    "duplicate",
    "too many tokens",
    "length ratio",
)
"""Why a pair can be dropped, in the order in which it is asked; the last two are known after segmentation."""


def clean(
    pairs: Iterable[Pair], config: CleaningConfig, placeholder_pattern: str | None
) -> tuple[list[Pair], dict[str, int]]:
    """Normalises pairs and drops those whose text would harm; the order stays (`length_flaw` looks at tokens).

    Pairs whose target copies the source are kept: names and units are translated so.

    Args:
        pairs: (source, target) texts as the corpus has them.
        config: the limits.
        placeholder_pattern: both sides must have the same set of these; None does not look.

    Returns:
        The pairs that stay, and for each of `DROP_REASONS` how many pairs it dropped.
    """
    kept: list[Pair] = []
    seen: set[Pair] = set()
    dropped = Counter({reason: 0 for reason in DROP_REASONS})
    for pair in pairs:
        clean_pair = normalise(pair[0]), normalise(pair[1])
        reason = _flaw(pair, clean_pair, config, placeholder_pattern)
        if reason is None and config.drop_duplicates and clean_pair in seen:
            reason = "duplicate"
        if reason is None:
            seen.add(clean_pair)
            kept.append(clean_pair)
        else:
            dropped[reason] += 1
    return kept, dict(dropped)


def length_flaw(source_tokens: int, target_tokens: int, config: CleaningConfig) -> str | None:
    """Why a segmented pair should be dropped ("too many tokens", "length ratio"), or None.

    Args:
        source_tokens: tokens of the source, the end-of-sentence symbol included.
        target_tokens: likewise of the target.
        config: the limits.
    """
    shorter, longer = sorted((source_tokens, target_tokens))
    if longer > config.max_tokens:
        return "too many tokens"
    if longer >= config.ratio_min_tokens and longer > config.max_ratio * shorter:
        return "length ratio"
    return None


def _flaw(raw: Pair, pair: Pair, config: CleaningConfig, placeholder_pattern: str | None) -> str | None:
    if any("\n" in text.strip() for text in raw):
        return "newline"
    if not all(pair):
        return "empty"
    if max(map(len, pair)) > config.max_chars:
        return "too long"
    if placeholder_pattern is not None:
        source, target = (set(find_placeholders(text, placeholder_pattern)) for text in pair)
        if source != target:
            return "placeholders differ"
    return None
