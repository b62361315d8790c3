"""Placeholders such as `{name}`: shown to the model as numbered symbols, put back after decoding.

A corpus has hundreds of placeholders, most of them seen once, and a translation must copy each letter by
letter. So the distinct placeholders of a sentence become `<ph1>`, `<ph2>`, ... in order of first appearance,
which the segmenter knows as whole symbols; the sentence keeps the list that puts them back.

A literal `<ph3>` in a text counts as a placeholder too, so that hiding and restoring gives every text back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from automoe.errors import ConfigError, DataError

DEFAULT_PATTERN = r"\{[A-Za-z0-9_]+\}"
"""Regular expression of a placeholder: a name in braces."""
MAX_PLACEHOLDERS = 6
SYMBOLS = tuple(f"<ph{number}>" for number in range(1, MAX_PLACEHOLDERS + 1))
"""What stands for the first, second, ... distinct placeholder of a sentence."""

_SYMBOL = re.compile(f"<ph([1-{MAX_PLACEHOLDERS}])>")


@dataclass(frozen=True, kw_only=True)
class PlaceholderErrors:
    """What became of placeholders in translation; repetitions within a sentence count once."""

    expected: int
    """Placeholders of the sources."""
    lost: int
    """Those that the translation lacks."""
    invented: int
    """Placeholders of translations that their source does not have."""


def find_placeholders(text: str, pattern: str = DEFAULT_PATTERN) -> tuple[str, ...]:
    """The distinct placeholders of `text` in order of first appearance, literal symbols included.

    Raises:
        ConfigError: `pattern` is no regular expression, or matches the empty text.
    """
    return tuple(dict.fromkeys(match[0] for match in _compiled(pattern).finditer(text) if match[0]))


def hide_placeholders(
    text: str, pattern: str = DEFAULT_PATTERN, numbering: Sequence[str] | None = None
) -> tuple[str, tuple[str, ...]]:
    """Replaces the placeholders of `text` by numbered symbols.

    Args:
        text: any text.
        pattern: regular expression of a placeholder.
        numbering: the placeholders of the source, when `text` is its translation: they get the source's
            numbers, and others stay text. None numbers by first appearance; of more than six distinct
            placeholders the seventh and later stay text (literal symbols are always numbered).

    Returns:
        The text with symbols, and the placeholders in the order of their numbers, for `restore_placeholders`.

    Raises:
        ConfigError: `pattern` is no regular expression, or matches the empty text.
    """
    chosen = _choose(find_placeholders(text, pattern)) if numbering is None else tuple(numbering)
    if not chosen:
        return text, ()
    symbols = dict(zip(chosen, SYMBOLS, strict=False))
    return _compiled(pattern).sub(lambda match: symbols.get(match[0], match[0]), text), chosen


def restore_placeholders(text: str, placeholders: Sequence[str]) -> str:
    """Replaces `<ph1>`, ... by `placeholders[0]`, ...; a number that the list does not have stays as it is."""

    def original(match: re.Match[str]) -> str:
        index = int(match[1]) - 1
        return placeholders[index] if index < len(placeholders) else match[0]

    return _SYMBOL.sub(original, text)


def remove_placeholders(text: str, pattern: str = DEFAULT_PATTERN) -> str:
    """Replaces every placeholder, literal symbols included, by a space."""
    return _compiled(pattern).sub(" ", text)


def count_placeholder_errors(
    sources: Iterable[str], hypotheses: Iterable[str], pattern: str = DEFAULT_PATTERN
) -> PlaceholderErrors:
    """Counts lost and invented placeholders between sources and their translations.

    Raises:
        ConfigError: `pattern` is no regular expression, or matches the empty text.
        DataError: there are not as many hypotheses as sources.
    """
    sources, hypotheses = list(sources), list(hypotheses)
    if len(sources) != len(hypotheses):
        raise DataError(f"there are {len(hypotheses)} hypotheses for {len(sources)} sources")
    expected = lost = invented = 0
    for source, hypothesis in zip(sources, hypotheses, strict=True):
        wanted, found = set(find_placeholders(source, pattern)), set(find_placeholders(hypothesis, pattern))
        expected += len(wanted)
        lost += len(wanted - found)
        invented += len(found - wanted)
    return PlaceholderErrors(expected=expected, lost=lost, invented=invented)


def check_pattern(pattern: str, key: str = "placeholder_pattern") -> None:
    """Checks that `pattern` is a regular expression that can find placeholders.

    Raises:
        ConfigError: it is none, or it matches the empty text.
    """
    try:
        matches_nothing = re.compile(pattern).fullmatch("") is not None
        re.compile(_with_symbols(pattern))  # an inline flag such as (?i) is allowed at the very start only
    except re.error as error:
        raise ConfigError(
            key, pattern, f"is not a regular expression that can stand inside another: {error}"
        ) from error
    if matches_nothing:
        raise ConfigError(key, pattern, "matches the empty text")


def _choose(found: tuple[str, ...]) -> tuple[str, ...]:
    """At most six of the placeholders found, in their order.

    A literal symbol that stayed in the text would be taken for a number later, so those (six at most) go first.
    """
    if len(found) <= MAX_PLACEHOLDERS:
        return found
    first = sorted(found, key=lambda placeholder: _SYMBOL.search(placeholder) is None)[:MAX_PLACEHOLDERS]
    return tuple(placeholder for placeholder in found if placeholder in first)


@lru_cache(maxsize=16)
def _compiled(pattern: str) -> re.Pattern[str]:
    check_pattern(pattern)
    return re.compile(_with_symbols(pattern))


def _with_symbols(pattern: str) -> str:
    return f"<ph[1-{MAX_PLACEHOLDERS}]>|(?:{pattern})"
