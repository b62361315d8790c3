"""`ProfileConfig`: how the latency of architectures is measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from automoe.errors import ConfigError
from automoe.threads import check_threads


@dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """Settings of one measured table."""

    table: str | None = field(default=None, metadata={"hashed": False})
    """A table that was measured before, here or on another machine; then neither profile nor select measures."""
    architectures: int = 40
    """Architectures that are measured, the largest and the smallest of the space among them."""
    sentences: int = 10
    """Real sentences that each architecture translates, from short to long."""
    repeats: int = 5
    """Passes over the sentences, each beside a pass of the reference architecture."""
    threads: int = 1
    """Threads of the model. Small models are slower on two than on one."""
    backend: str = "onnx"
    """What runs the model: the backend that `translate` will use."""
    precision: str = "float32"
    """What the model is run in: the precision that it is meant to be used in."""

    def __post_init__(self) -> None:
        if self.architectures < 2:
            raise ConfigError("profile.architectures", self.architectures, allowed=">= 2")
        for name in ("sentences", "repeats"):
            if getattr(self, name) < 1:
                raise ConfigError(f"profile.{name}", getattr(self, name), allowed=">= 1")
        check_threads("profile.threads", self.threads)

    @property
    def device(self) -> str:
        """Name of what is measured on, such as "cpu-1t": the CPU with one thread."""
        return f"cpu-{self.threads}t"
