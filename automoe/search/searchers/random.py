"""Random search, the baseline that other searchers have to beat (Bergstra and Bengio 2012; Li and Talwalkar 2019)."""

from __future__ import annotations

from dataclasses import dataclass

from automoe.errors import ConfigError
from automoe.search.searcher import Candidate
from automoe.search.searchers.proposals import GenomeSearcher, Proposals, Sample


@dataclass(frozen=True, kw_only=True)
class RandomOptions:
    """Settings of `RandomSearch`."""

    batch: int = 24
    """Architectures of one generation."""
    uniform: bool = False
    """Whether every architecture of the space is equally likely; otherwise every choice of a gene is, which gives
    shallow models, of which there are few, the same chance as deep ones."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError("batch", self.batch, allowed=">= 1")


class RandomSearch(GenomeSearcher):
    """Samples. Nothing of what it was told decides what it asks, so no quality is guessed either."""

    Options = RandomOptions
    options: RandomOptions

    @property
    def batch(self) -> int:
        """See `RandomOptions`."""
        return self.options.batch

    def propose(self, num: int, proposals: Proposals) -> list[Candidate]:
        """Samples."""
        return proposals.samples(num)

    @property
    def sample(self) -> Sample | None:
        """Draws genes, or architectures."""
        return self.problem.codec.space.census.sample if self.options.uniform else None
