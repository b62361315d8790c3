"""How a corpus becomes training data: plain frozen dataclasses that a Hydra structured config can be built of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from automoe.decoding.placeholders import DEFAULT_PATTERN, check_pattern
from automoe.errors import ConfigError, did_you_mean

NOT_HASHED = {"hashed": False}
"""Of paths: what lies there is in the corpus's fingerprint, so that a file may move."""
VOCABULARY_KINDS = ("unigram", "bpe")


@dataclass(frozen=True, kw_only=True)
class CleaningConfig:
    """Which pairs are kept. Predefined validation and test sets are never cleaned."""

    max_chars: int = 500
    """Longest sentence, in characters."""
    max_tokens: int = 100
    """Longest sentence, in tokens of the segmenter, the end-of-sentence symbol included."""
    max_ratio: float = 3.0
    """Most tokens of the longer side for one token of the shorter side (characters would not compare scripts)."""
    ratio_min_tokens: int = 12
    """Pairs whose longer side has fewer tokens may have any ratio ("On", "Eingeschaltet")."""
    drop_duplicates: bool = True
    """Keep a pair once, even if the corpus repeats it."""

    def __post_init__(self) -> None:
        _check_at_least("data.cleaning.max_chars", self.max_chars, 1)
        _check_at_least("data.cleaning.max_tokens", self.max_tokens, 2)
        _check_at_least("data.cleaning.max_ratio", self.max_ratio, 1)
        _check_at_least("data.cleaning.ratio_min_tokens", self.ratio_min_tokens, 0)


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How many pairs a corpus without predefined sets gives away for validation and test."""

    valid_size: int = 1000
    """Pairs for validation."""
    test_size: int = 1000
    """Pairs for the test."""
    seed: int = 1
    """Another seed draws other sets."""

    def __post_init__(self) -> None:
        _check_at_least("data.split.valid_size", self.valid_size, 1)
        _check_at_least("data.split.test_size", self.test_size, 1)


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """The joint SentencePiece vocabulary of both languages."""

    size: int = 4000
    """Pieces, the four special and six placeholder symbols included."""
    kind: str = "unigram"
    """`unigram` or `bpe`."""
    character_coverage: float = 1.0
    """Share of the training text's characters that the vocabulary must be able to write."""
    byte_fallback: bool = False
    """Write unknown characters as bytes (takes 256 pieces) instead of as the unknown symbol."""

    def __post_init__(self) -> None:
        _check_at_least("data.vocabulary.size", self.size, 16)
        if self.kind not in VOCABULARY_KINDS:
            raise ConfigError(
                "data.vocabulary.kind",
                self.kind,
                "is no kind of vocabulary",
                allowed=", ".join(VOCABULARY_KINDS),
                hint=did_you_mean(self.kind, VOCABULARY_KINDS),
            )
        if not 0.9 <= self.character_coverage <= 1.0:
            raise ConfigError("data.vocabulary.character_coverage", self.character_coverage, allowed="0.9 to 1.0")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """A corpus by its name, the options of that corpus, and what is done with its pairs."""

    corpus: str = "home_assistant"
    """Name of a corpus provider (`automoe.data.corpus`)."""
    source: str = "en"
    """Language that is translated from."""
    target: str = "de"
    """Language that is translated to."""

    wheel: str | None = field(default=None, metadata=NOT_HASHED)
    """home_assistant: a local copy of the wheel, instead of the download."""
    train_source: str | None = field(default=None, metadata=NOT_HASHED)
    """text: training sentences, one a line, plain or .gz."""
    train_target: str | None = field(default=None, metadata=NOT_HASHED)
    """text: their translations, line by line."""
    valid_source: str | None = field(default=None, metadata=NOT_HASHED)
    """text: a predefined validation set; None cuts one from the training sentences."""
    valid_target: str | None = field(default=None, metadata=NOT_HASHED)
    """text: its translations."""
    test_source: str | None = field(default=None, metadata=NOT_HASHED)
    """text: a predefined test set; None cuts one from the training sentences."""
    test_target: str | None = field(default=None, metadata=NOT_HASHED)
    """text: its translations."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of a corpus that another package provides: `data.options.NAME=VALUE`."""

    placeholder_pattern: str | None = DEFAULT_PATTERN
    """Regular expression of what must be copied unchanged; None: there are no placeholders."""
    cleaning: CleaningConfig = field(default_factory=CleaningConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)

    def __post_init__(self) -> None:
        for key, language in (("data.source", self.source), ("data.target", self.target)):
            if not language or "/" in language or language.startswith("."):
                raise ConfigError(key, language, "is no language code", allowed="such as en, de, pt-BR")
        if self.source == self.target:
            raise ConfigError("data.target", self.target, "is the source language too")
        if self.placeholder_pattern is not None:
            check_pattern(self.placeholder_pattern, "data.placeholder_pattern")

    def refuse(self, names: Iterable[str], *, hint: str | None = None) -> None:
        """For a corpus that has no other options than fields of this class, and not those named.

        Args:
            names: fields that must be None.
            hint: what to do about one that is set.

        Raises:
            ConfigError: one of them is set, or any of `options`.
        """
        others = {f"options.{name}": value for name, value in self.options.items()}
        for name, value in ({name: getattr(self, name) for name in names} | others).items():
            if value is not None:
                problem = f"the corpus {self.corpus!r} has no such option"
                raise ConfigError(f"data.{name}", value, problem, hint=None if name in others else hint)


def _check_at_least(key: str, value: float, least: float) -> None:
    if value < least:
        raise ConfigError(key, value, allowed=f">= {least}")
