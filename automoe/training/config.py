"""`TrainingConfig`: how long, how fast and with which losses a model is trained."""

from __future__ import annotations

from dataclasses import dataclass, field

from automoe.errors import ConfigError
from automoe.threads import check_threads

PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of one training; fairseq's Trainer carries them out."""

    max_updates: int = 1200
    """Optimiser steps in all."""
    max_tokens: int = 1024
    """Tokens per batch, paddings included, on the longer side."""
    update_freq: int = 1
    """Batches per process whose gradients are added up for one step."""
    processes: int = field(default=1, metadata={"hashed": "unless default"})
    """Processes that share the batches of a step, each on a GPU of its own or all on the CPU: a step sees `processes`
    times `update_freq` batches."""
    lr: float = 3e-3
    """Peak learning rate, reached after the warm-up."""
    warmup_updates: int = 200
    """Steps of linear warm-up."""
    lr_decay: str = "linear"
    """How the rate falls afterwards: `linear` (to 0 at max_updates) or `inverse_sqrt` (of the step)."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 clips nothing."""
    weight_decay: float = 0.0
    label_smoothing: float = 0.1
    """Share of the target probability that is spread over the vocabulary."""
    balance_loss: float = 0.01
    """Coefficient of the load-balancing loss (Switch: 0.01)."""
    router_z_loss: float = 0.001
    """Coefficient of the router z-loss (ST-MoE: 0.001)."""
    validate_every: int = 300
    """Steps between validations; each also writes a checkpoint, from which a killed training goes on."""
    patience: int = field(default=0, metadata={"hashed": "unless default"})
    """Stops after so many validations in a row whose loss is not below the lowest one; 0 never does. The learning
    rate falls as `max_updates` says all the same: a training that stops early has not seen its low rates."""
    average: int = field(default=1, metadata={"hashed": "unless default"})
    """Checkpoints of the last validations whose weights are averaged at the end (Vaswani et al. 2017, section 6.1: 5,
    of big models 20); the result is the average or the best checkpoint, whichever has the lower validation loss. So
    many are kept, each about three times the size of the weights."""
    precision: str = field(default="float32", metadata={"hashed": "unless default"})
    """Of weights, states and gradients: `float32`; or `bfloat16` or `float16`, beside float32 master weights, which
    are what is stepped, kept and written. Losses stay float32, and routers too by default. For GPUs: a CPU
    gains nothing."""
    threads: int = 1
    """PyTorch threads; part of the result, since sums in another order differ in the last bits."""

    def __post_init__(self) -> None:
        counts = ("max_updates", "max_tokens", "update_freq", "processes", "warmup_updates", "validate_every")
        for name in (*counts, "average"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training.{name}", getattr(self, name), allowed=">= 1")
        check_threads("training.threads", self.threads)
        for name in ("clip_norm", "weight_decay", "balance_loss", "router_z_loss", "patience"):
            if getattr(self, name) < 0:
                raise ConfigError(f"training.{name}", getattr(self, name), allowed=">= 0")
        if self.lr <= 0:
            raise ConfigError("training.lr", self.lr, allowed="> 0")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError("training.label_smoothing", self.label_smoothing, allowed="0 <= p < 1")
        if self.precision not in PRECISIONS:
            raise ConfigError("training.precision", self.precision, allowed=", ".join(PRECISIONS))
        if self.lr_decay not in ("inverse_sqrt", "linear"):
            raise ConfigError("training.lr_decay", self.lr_decay, allowed="inverse_sqrt, linear")
