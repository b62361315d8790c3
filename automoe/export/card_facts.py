"""`CardFacts`: what a model card says beside the model itself, as far as it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class KeptLimit:
    """One limit of the budget, and what the bundle takes of it."""

    cost: str
    """As people read it: "latency", "parameters"."""
    limit: str
    """With its unit, and the share of the largest model where it was given as one."""
    value: str
    """With its unit."""
    how: str
    """Computed exactly, or measured, and how often."""
    kept: bool


@dataclass(frozen=True, kw_only=True)
class MeasuredLatency:
    """How long a sentence takes."""

    ms: float
    """Milliseconds per sentence, the median over the passes."""
    low_ms: float
    high_ms: float
    circumstances: str
    """Device, threads, backend, precision, beam, machine: in words."""


@dataclass(frozen=True, kw_only=True)
class TestScore:
    """One metric on the test set."""

    __test__ = False  # no test of pytest's

    name: str
    value: float
    signature: str
    """As sacreBLEU writes it (Post 2018)."""


@dataclass(frozen=True, kw_only=True)
class SampleTranslation:
    """A sentence of the test set."""

    source: str
    translation: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """All of it; what is left at its default is not said."""

    data: Mapping[str, str] = field(default_factory=dict)
    """The corpus, a line for each name."""
    training: Mapping[str, str] = field(default_factory=dict)
    """How the weights were made, a line for each name."""
    budget: tuple[KeptLimit, ...] = ()
    latency: MeasuredLatency | None = None
    scores: tuple[TestScore, ...] = ()
    test_sentences: int = 0
    scored_with: str = ""
    """Backend, precision, beam of the translations that were scored: in words."""
    samples: tuple[SampleTranslation, ...] = ()
    params_reachable: int | None = None
    """Parameters that some token of the test set reaches."""
    signature: str = ""
    """The run on one line: the results that it was made from, seed, versions."""
