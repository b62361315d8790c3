"""`TransformerConfig`: what a Transformer is besides its sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from automoe.errors import ConfigError
from automoe.nn.router import RouterPrecision


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
    """On the hidden units of a layer's only feed-forward network."""
    expert_dropout: float | None = None
    """On the hidden units of each of several experts; None: as activation_dropout (Fedus et al. 2022: 0.4 beside 0.1
    where little text is learnt from)."""
    router_jitter: float = 0.0
    """Routers see their inputs multiplied by noise from 1 - jitter to 1 + jitter in training (Switch: 0.01)."""
    capacity_factor: float | None = None
    """Room of each expert in training, as a multiple of its even share of a batch; what has no room passes the layer
    by. None: there is room for all. Switch: 1.0 to 2.0."""
    router_precision: RouterPrecision = "float32"
    """Routers compute in float32 even in a bfloat16 or float16 training (Switch: stable); `model`: as all else."""

    def __post_init__(self) -> None:
        if self.vocab_size < 5:
            raise ConfigError("model.vocab_size", self.vocab_size, allowed=">= 5 (four symbols are reserved)")
        for name in ("dropout", "attention_dropout", "activation_dropout", "expert_dropout", "router_jitter"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < 1.0:
                raise ConfigError(f"model.{name}", value, allowed="0 <= p < 1")
        if self.capacity_factor is not None and not 0.0 < self.capacity_factor < math.inf:
            raise ConfigError(
                "model.capacity_factor",
                self.capacity_factor,
                "is no room that experts can have",
                allowed="> 0, or null: room for all",
            )
        if self.router_precision not in (allowed := get_args(RouterPrecision)):
            raise ConfigError("model.router_precision", self.router_precision, allowed=", ".join(allowed))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> TransformerConfig:
        """Reads the JSON form of `to_dict`."""
        return cls(**form)
