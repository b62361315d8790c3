"""Training, validation and test sets that share no sentence, even if case, digits or punctuation differ.

Cut by the plain text, 8 % of the test sentences of interface strings would recur in training as
"Channel 3" beside "Channel 4".
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

from automoe.data.cleaning import Pair
from automoe.data.config import SplitConfig
from automoe.decoding.placeholders import remove_placeholders
from automoe.errors import DataError

SPLITS = ("train", "valid", "test")

_NO_LETTERS = re.compile(r"[\W\d_]+")


def split_key(text: str, placeholder_pattern: str | None) -> str:
    """What is left of a sentence without case, digits, punctuation and placeholders.

    Combining marks that follow a letter stay: Hindi writes its vowels so.
    """
    if placeholder_pattern is not None:
        text = remove_placeholders(text, placeholder_pattern)
    return _NO_LETTERS.sub(_without_letters, text.casefold()).strip()


def split_pairs(
    pairs: Sequence[Pair], wanted: Iterable[str], config: SplitConfig, placeholder_pattern: str | None
) -> dict[str, list[Pair]]:
    """Divides pairs by the hash of their source's key: equal keys are never divided.

    Groups of equal keys stand in the order of their hash; the test set takes those that still fit into its
    size, then the validation set, and the rest is for training. So the test set does not depend on the
    validation size, and a set is smaller than asked only if every remaining group is too large for it.

    Args:
        pairs: cleaned pairs.
        wanted: which of "test" and "valid" to cut.
        config: sizes and seed.
        placeholder_pattern: what `split_key` removes.

    Returns:
        The pairs of "train" and of each wanted split, in the order of `pairs`.

    Raises:
        DataError: less than half of the pairs would be left for training.
    """
    sizes = {"test": config.test_size, "valid": config.valid_size}
    wanted = [split for split in sizes if split in set(wanted)]
    asked = sum(sizes[split] for split in wanted)
    if 2 * asked > len(pairs):
        raise DataError(
            f"{asked} of the {len(pairs)} pairs are asked for {' and '.join(wanted)}, more than half",
            key="data.split",
            hint="Lower data.split.valid_size and data.split.test_size, or name validation and test files",
        )
    groups: dict[str, list[int]] = defaultdict(list)
    for index, (source, _) in enumerate(pairs):
        groups[split_key(source, placeholder_pattern)].append(index)
    order = sorted(groups, key=lambda key: _keyed_hash(key, config.seed))
    chosen: dict[str, list[int]] = {}
    for split in wanted:
        chosen[split], order = _take(groups, order, sizes[split])
    chosen["train"] = [index for key in order for index in groups[key]]
    return {split: [pairs[index] for index in sorted(chosen[split])] for split in SPLITS if split in chosen}


def count_overlaps(
    splits: Mapping[str, Sequence[Pair]], placeholder_pattern: str | None
) -> dict[str, dict[str, int]]:
    """How many pairs of each held-out split have a side whose key also occurs on that side in training.

    Returns:
        `{"source": {"valid": n, "test": n}, "target": {...}}`; the sources of sets that we cut give 0.
    """
    overlaps: dict[str, dict[str, int]] = {}
    for side, name in enumerate(("source", "target")):
        known = {split_key(pair[side], placeholder_pattern) for pair in splits["train"]}
        overlaps[name] = {
            split: sum(split_key(pair[side], placeholder_pattern) in known for pair in pairs)
            for split, pairs in splits.items()
            if split != "train"
        }
    return overlaps


def _take(groups: Mapping[str, list[int]], order: list[str], size: int) -> tuple[list[int], list[str]]:
    taken: list[int] = []
    left: list[str] = []
    for key in order:
        if len(taken) + len(groups[key]) <= size:
            taken += groups[key]
        else:
            left.append(key)
    return taken, left


def _without_letters(run: re.Match[str]) -> str:
    """What a run of no letters becomes: the marks of the letter before it, and a space for all else."""
    marks = "".join(takewhile(_is_mark, run[0])) if run.start() else ""
    return marks + (" " if len(marks) < len(run[0]) else "")


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _keyed_hash(key: str, seed: int) -> bytes:
    return hashlib.blake2b(key.encode(), key=str(seed).encode(), digest_size=16).digest()
