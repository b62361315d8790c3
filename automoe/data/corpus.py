"""`Corpus`: what a provider of sentence pairs shows, and how a provider is found by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Protocol

from automoe.data.config import DataConfig
from automoe.data.home_assistant import HomeAssistantCorpus
from automoe.data.multi30k import open_multi30k
from automoe.data.text import TextCorpus
from automoe.errors import ConfigError, did_you_mean

ENTRY_POINT_GROUP = "automoe.corpora"
"""Other packages offer corpora under this group: `NAME = "package.module:provider"`."""


class Corpus(Protocol):
    """Pairs of sentences in two languages, as the source has them (uncleaned)."""

    def fingerprint(self) -> str:
        """Hash of what will be read, as cheap as possible: equal fingerprints, equal pairs.

        Raises:
            DataError: what would be read is missing.
        """

    def splits(self) -> tuple[str, ...]:
        """`("train",)`, and `"valid"` and `"test"` where the corpus has predefined ones."""

    def pairs(self, split: str) -> Iterator[tuple[str, str]]:
        """The (source, target) pairs of one of `splits()`, always in the same order.

        Raises:
            DataError: the corpus is missing or damaged.
        """


Provider = Callable[[DataConfig], Corpus]

CORPORA: dict[str, Provider] = {
    "home_assistant": HomeAssistantCorpus.from_config,
    "multi30k": open_multi30k,
    "text": TextCorpus.from_config,
}
"""The providers that come with AutoMoE."""


def open_corpus(config: DataConfig) -> Corpus:
    """The corpus that `config.corpus` names: one of `CORPORA`, or one that another package registers.

    Raises:
        ConfigError: no such corpus, or options that it does not have.
    """
    if config.corpus in CORPORA:
        return CORPORA[config.corpus](config)
    others = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if config.corpus in others:
        provider: Provider = others[config.corpus].load()
        return provider(config)
    known = sorted({*CORPORA, *others})
    raise ConfigError(
        "data.corpus",
        config.corpus,
        "there is no such corpus",
        allowed=", ".join(known),
        hint=did_you_mean(config.corpus, known),
    )
