"""`TransformerConfig`: what a Transformer is besides its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from automoe.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Vocabulary, place of the layer norms, and dropout (Vaswani et al. 2017)."""

    vocab_size: int
    """Size of the one vocabulary that source and target share; a single table embeds both and is the output layer."""
    pre_norm: bool = True
    """Layer norm before each sub-layer and once at the end of each side; otherwise after each residual sum."""
    dropout: float = 0.1
    """On embeddings and on the output of each sub-layer."""
    attention_dropout: float = 0.0
    """On attention weights."""
    activation_dropout: float = 0.0
    """On the hidden units of each expert."""

    def __post_init__(self) -> None:
        if self.vocab_size < 5:
            raise ConfigError("model.vocab_size", self.vocab_size, allowed=">= 5 (four symbols are reserved)")
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"model.{name}", getattr(self, name), allowed="0 <= p < 1")

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> TransformerConfig:
        """Reads the JSON form of `to_dict`."""
        return cls(**form)
