"""`RunConfig`: the whole configuration of a run, as every stage and every override sees it."""

from __future__ import annotations

from dataclasses import dataclass, field

from automoe.data.config import DataConfig
from automoe.decoding import SearchConfig
from automoe.errors import ConfigError
from automoe.pipeline.run_folder import check_run_name
from automoe.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What a Transformer is besides its architecture (`nn.TransformerConfig` without the vocabulary's size)."""

    pre_norm: bool = True
    """Layer norm before each sub-layer and at the end of each side; otherwise after each residual sum."""
    dropout: float = 0.1
    """On embeddings and on the output of each sub-layer."""
    attention_dropout: float = 0.0
    """On attention weights."""
    activation_dropout: float = 0.0
    """On the hidden units of each expert."""

    def __post_init__(self) -> None:
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"model.{name}", getattr(self, name), allowed="0 <= p < 1")


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How sentences are translated."""

    beam: int = 5
    """Hypotheses kept per sentence; 1 is greedy search."""
    length_penalty: float = 1.0
    """A hypothesis's log-probability is divided by its length to this power; 0 prefers short ones."""
    max_source_tokens: int = 256
    """Longer sentences are cut there, with a warning; models are poor beyond the lengths of their training."""
    batch_size: int = field(default=32, metadata={"hashed": False})
    """Sentences translated together; changes the speed, and scores in their last bits."""

    def __post_init__(self) -> None:
        self.search()  # refuses what it does not take
        if self.batch_size < 1:
            raise ConfigError("decoding.batch_size", self.batch_size, allowed=">= 1")
        if self.max_source_tokens < 2:
            raise ConfigError("decoding.max_source_tokens", self.max_source_tokens, allowed=">= 2")

    def search(self) -> SearchConfig:
        """What of this the search takes."""
        return SearchConfig(beam=self.beam, length_penalty=self.length_penalty)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The whole configuration; `conf/` says every key with a comment."""

    run: str = "quickstart"
    """Name of the run: its results live in the folder `runs_dir/run`."""
    runs_dir: str = "runs"
    """Folder of all runs, relative to the current directory."""
    seed: int = 1
    """Seed of everything random."""
    architecture: str = "quickstart"
    """Name of a shipped architecture, or the path of a YAML file that holds one."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)

    def __post_init__(self) -> None:
        check_run_name(self.run)
        if not self.runs_dir:
            raise ConfigError("runs_dir", self.runs_dir, "is empty", allowed="a folder, . for the current one")
        if not 0 <= self.seed < 2**31:
            raise ConfigError("seed", self.seed, allowed="0 <= seed < 2**31")
