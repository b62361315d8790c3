"""`ProfileConfig`: how the latency of architectures is measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from automoe.errors import ConfigError, did_you_mean
from automoe.threads import check_threads

TRAINED, EVEN = "trained", "even"
"""Who decides which expert a token gets: the trained routers, or ones that were made to load all experts alike."""
_ROUTINGS = (TRAINED, EVEN)
_DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """Settings of one measured table."""

    table: str | None = field(default=None, metadata={"hashed": False})
    """A table that was measured before, here or on another machine; then neither profile nor select measures."""
    architectures: int = 40
    """Architectures that are measured, the largest and the smallest of the space among them."""
    doubts: float = 0.3
    """Share of them that are chosen when the others are measured: those that a predictor is least sure of."""
    sentences: int = 10
    """Real sentences that each architecture translates, from short to long."""
    lengths: tuple[int, ...] | None = None
    """Instead of real ones as many sentences of random tokens, of these lengths in turn, translated at the same
    length; end symbols are counted."""
    batch: int = 1
    """Sentences translated together; all batches are full."""
    repeats: int = 5
    """Passes over the sentences at least, each beside a pass of the reference architecture."""
    max_repeats: int = 15
    """Passes at most."""
    tolerance: float = 0.01
    """Passes end when the median of the ratios to the reference is known to this share of it (90 % interval)."""
    routing: str = TRAINED
    """Which experts tokens get: "trained", as the weights decide; "even", all experts of a layer about equally."""
    device: str = "cpu"
    """Where models run: "cpu" or "cuda"."""
    threads: int = 1
    """Threads of the model. Small models are slower on two than on one."""
    backend: str = "onnx"
    """What runs the model: the backend that `translate` will use."""
    precision: str = "float32"
    """What the model is run in: the precision that it is meant to be used in."""

    def __post_init__(self) -> None:
        if self.architectures < 2:
            raise ConfigError("profile.architectures", self.architectures, allowed=">= 2")
        if not 0 <= self.doubts < 1:
            raise ConfigError("profile.doubts", self.doubts, allowed="0 <= share < 1")
        self._check_sentences()
        if self.repeats < 1:
            raise ConfigError("profile.repeats", self.repeats, allowed=">= 1")
        if self.max_repeats < self.repeats:
            raise ConfigError("profile.max_repeats", self.max_repeats, allowed=f">= profile.repeats ({self.repeats})")
        if not 0 <= self.tolerance < 1:
            raise ConfigError("profile.tolerance", self.tolerance, allowed="0 <= share < 1")
        _check_one_of("profile.routing", self.routing, _ROUTINGS)
        _check_one_of("profile.device", self.device, _DEVICES)
        check_threads("profile.threads", self.threads)

    def _check_sentences(self) -> None:
        if self.sentences < 1:
            raise ConfigError("profile.sentences", self.sentences, allowed=">= 1")
        if self.batch < 1:
            raise ConfigError("profile.batch", self.batch, allowed=">= 1")
        if self.sentences % self.batch:
            problem = f"does not divide profile.sentences={self.sentences}, so that a batch would not be full"
            full = self.batch * max(1, self.sentences // self.batch)
            raise ConfigError("profile.batch", self.batch, problem, hint=f"Set profile.sentences={full} for it")
        if self.lengths is None:
            return
        if not self.lengths or min(self.lengths) < 2:
            raise ConfigError("profile.lengths", list(self.lengths), allowed="one or more numbers >= 2, or null")
        if self.sentences % len(self.lengths):
            problem = f"is no multiple of the {len(self.lengths)} profile.lengths, so that they would not weigh alike"
            raise ConfigError("profile.sentences", self.sentences, problem)

    @property
    def device_name(self) -> str:
        """Name of what is measured on: "cpu-1t", the CPU with one thread; or "cuda"."""
        return f"cpu-{self.threads}t" if self.device == "cpu" else self.device


def _check_one_of(key: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(key, value, allowed=", ".join(allowed), hint=did_you_mean(str(value), allowed))
