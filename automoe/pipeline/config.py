"""`RunConfig`: the whole configuration of a run, as every stage and every override sees it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from automoe.bundle import PRECISIONS
from automoe.data.alignment import ShortlistConfig
from automoe.data.config import DataConfig
from automoe.decoding import SearchConfig
from automoe.distill.config import DistillConfig
from automoe.errors import ConfigError
from automoe.evaluation.fidelity import MIN_ARCHITECTURES, FidelityConfig
from automoe.latency.config import ProfileConfig
from automoe.pipeline.run_folder import check_link_name, check_run_name
from automoe.predictor.config import PredictorConfig
from automoe.predictor.regressor import find_regressor
from automoe.resources import resource_folder
from automoe.runtime.backend import CAST_PRECISIONS
from automoe.search.budget import Limit, parse_budget, parse_budgets
from automoe.search.config import ArchitectureSearchConfig, SelectConfig
from automoe.search.costs import LATENCY
from automoe.search.searcher import check_objectives_of, options_of
from automoe.search.store import check_url
from automoe.supernet.config import SupernetConfig
from automoe.threads import check_threads
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
    """On the hidden units of a layer's only feed-forward network."""
    expert_dropout: float | None = None
    """On the hidden units of each of several experts; None: as activation_dropout."""
    router_jitter: float = 0.0
    """Routers see their inputs multiplied by noise from 1 - jitter to 1 + jitter in training."""
    capacity_factor: float | None = None
    """Room of each expert in training, as a multiple of its even share of a batch; None: room for all."""
    router_precision: str = field(default="float32", metadata={"hashed": "unless default"})
    """Routers compute in `float32` whatever training.precision says, or as the `model` does."""

    def __post_init__(self) -> None:
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
        if self.router_precision not in ("float32", "model"):
            raise ConfigError("model.router_precision", self.router_precision, allowed="float32, model")


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
class SupernetSection(SupernetConfig):
    """How the supernet is trained, or where a trained one is."""

    weights: str | None = field(default=None, metadata={"hashed": False})
    """Folder of a supernet that was trained before (`model.json`, `model.safetensors`), instead of a training."""


@dataclass(frozen=True, kw_only=True)
class SearchSection(ArchitectureSearchConfig):
    """Which sub-transformers are evaluated, on what, and by how many processes."""

    sentences: int = 400
    """Validation sentences on which sub-transformers are evaluated, evenly spread over the lengths; all if there are
    fewer."""
    workers: int = field(default=1, metadata={"hashed": False})
    """Processes that evaluate here; `automoe worker` adds others from elsewhere. 0 leaves all work to those."""
    storage: str | None = field(default=None, metadata={"hashed": False})
    """Where coordinator and workers meet: null is the run folder, else the URL of an Optuna storage."""
    lease_s: float = field(default=60.0, metadata={"hashed": False})
    """Seconds without a sign of life after which a worker's evaluation is given to another."""

    def __post_init__(self) -> None:
        with _groups_named(self.searcher):
            super().__post_init__()
        check_objectives_of(self.searcher, options_of(self.searcher, self.options), self.objectives)
        if self.quality_predictor is not None:
            find_regressor(self.quality_predictor, "search.quality_predictor")
        if self.storage is not None:
            check_url(self.storage, "search.storage")
        if self.sentences < 1:
            raise ConfigError("search.sentences", self.sentences, allowed=">= 1")
        if self.workers < 0:
            raise ConfigError("search.workers", self.workers, allowed=">= 0")
        if self.lease_s <= 0:
            raise ConfigError("search.lease_s", self.lease_s, allowed="> 0")


@contextmanager
def _groups_named(searcher: str) -> Iterator[None]:
    """Adds to the refusal of another searcher's options that a group holds both a searcher and its options."""
    try:
        yield
    except ConfigError as error:
        names = sorted(path.stem for path in (resource_folder("conf") / "search").glob(f"{searcher}*.yaml"))
        if names and error.hint is None and "is no setting of the searcher" in error.problem:
            groups = " or ".join(f"search={name}" for name in names)
            error.hint = f"Choose the whole group, which brings its own options: {groups}"
            error.args = (str(error),)
        raise


@dataclass(frozen=True, kw_only=True)
class TeacherSection:
    """Who teaches, and how it translates where its translations are learnt."""

    models: tuple[str, ...] = field(default=(), metadata={"hashed": False})
    """A model folder, a bundle, or a checkpoint (.pt) of ours or of fairseq's `transformer`; several teach together,
    by the mean of their probabilities. None: the largest sub-transformer of the supernet."""
    train: bool = False
    """Whether the largest sub-transformer goes on learning by itself, from the references, before it teaches."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How, as the section `training` for the supernet."""
    beam: int = 5
    """Hypotheses kept while it translates the training sources."""
    length_penalty: float = 1.0
    """As `decoding.length_penalty`."""
    batch_size: int = field(default=64, metadata={"hashed": False})
    """Sentences that it translates together."""
    threads: int = field(default=1, metadata={"hashed": False})
    """Threads within an operation while it translates; changes scores in their last bits."""
    device: str = field(default="cpu", metadata={"hashed": False})
    """Where it translates: `cpu` is ONNX Runtime, where the teacher is one model of ours; `cuda` PyTorch."""

    def __post_init__(self) -> None:
        self.search()  # refuses what it does not take
        if self.batch_size < 1:
            raise ConfigError("teacher.batch_size", self.batch_size, allowed=">= 1")
        check_threads("teacher.threads", self.threads)
        if len(set(self.models)) < len(self.models):
            raise ConfigError("teacher.models", list(self.models), "names a model twice", allowed="different models")
        if self.models and self.train:
            raise ConfigError(
                "teacher.train",
                self.train,
                "the supernet's largest sub-transformer alone can be trained on, but other models teach",
                allowed="false with teacher.models",
            )

    def search(self) -> SearchConfig:
        """What of this the search takes."""
        return SearchConfig(beam=self.beam, length_penalty=self.length_penalty)


@dataclass(frozen=True, kw_only=True)
class DistillSection(DistillConfig):
    """What the chosen sub-transformer learns from, and for how long."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    """As the section `training` for the supernet."""


@dataclass(frozen=True, kw_only=True)
class ScratchSection:
    """Which sub-transformers are trained by themselves, as the truth that a supernet's ranking is judged by."""

    architectures: int = 24
    """Different ones, drawn from the space."""
    at_one_depth: int = 12
    """So many of them have the middle one of the decoder depths; where there is one depth, all have it."""
    draw: int = 1
    """Seed of the drawing: not the run's, so that supernets of several seeds are judged by the same trainings."""
    seeds: tuple[int, ...] = (1, 2)
    """Each architecture is trained once with each; two tell how far seeds alone move a result."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """As the section `training` for the supernet."""
    workers: int = field(default=1, metadata={"hashed": False})
    """Trainings at a time, each with `training.threads`."""

    def __post_init__(self) -> None:
        if self.architectures < MIN_ARCHITECTURES:
            raise ConfigError("scratch.architectures", self.architectures, allowed=f">= {MIN_ARCHITECTURES}")
        if not 0 <= self.at_one_depth <= self.architectures:
            raise ConfigError("scratch.at_one_depth", self.at_one_depth, allowed=f"0 to {self.architectures}")
        if self.draw < 0:
            raise ConfigError("scratch.draw", self.draw, allowed=">= 0")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ConfigError("scratch.seeds", list(self.seeds), allowed="one or more different numbers >= 0")
        if self.workers < 1:
            raise ConfigError("scratch.workers", self.workers, allowed=">= 1")


@dataclass(frozen=True, kw_only=True)
class ShortlistSection(ShortlistConfig):
    """The target tokens that each source token produced in training, for `translate --shortlist`."""

    build: bool = True
    """Whether the bundle holds a shortlist."""


@dataclass(frozen=True, kw_only=True)
class ExportSection:
    """What the bundle holds beside the model."""

    precisions: tuple[str, ...] = PRECISIONS
    """Those that ONNX Runtime can run the model in; float32, the default of `translate`, is always among them."""
    shortlist: ShortlistSection = field(default_factory=ShortlistSection)

    def __post_init__(self) -> None:
        if unknown := [name for name in self.precisions if name not in PRECISIONS]:
            raise ConfigError("export.precisions", unknown[0], allowed=", ".join(PRECISIONS))
        if PRECISIONS[0] not in self.precisions:
            given = ", ".join(self.precisions) or "[]"
            raise ConfigError("export.precisions", given, f"lacks {PRECISIONS[0]}, the default of translate")
        ordered = tuple(name for name in PRECISIONS if name in self.precisions)
        object.__setattr__(self, "precisions", ordered)  # their order means nothing


def _default_budget() -> dict[str, Any]:
    return {"latency_ms": {"max_ratio": 0.6}}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The whole configuration; `conf/` says every key with a comment."""

    run: str = "quickstart"
    """Name of the run: its results live in the folder `runs_dir/run`."""
    runs_dir: str = "runs"
    """Folder of all runs, relative to the current directory."""
    seed: int = 1
    """Seed of everything random."""
    worker: int = 0
    """Names a process of `automoe worker`, so that `--multirun worker=0,1,2` starts three; it means nothing else."""
    space: str = "quickstart"
    """Name of a shipped search space, or the path of a YAML file that holds one."""
    architecture: str | None = None
    """Trains this one architecture instead of searching the space: a shipped one by name, or the path of a file."""
    budget: Any = field(default_factory=_default_budget)
    """What the model may cost; see `automoe.search.budget`. A limit of null is no limit."""
    budgets: Any = None
    """Several budgets by name, each for a model of its own, instead of `budget`; for `automoe export` alone."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    supernet: SupernetSection = field(default_factory=SupernetSection)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    search: SearchSection = field(default_factory=SearchSection)
    select: SelectConfig = field(default_factory=SelectConfig)
    teacher: TeacherSection = field(default_factory=TeacherSection)
    distill: DistillSection = field(default_factory=DistillSection)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    export: ExportSection = field(default_factory=ExportSection)
    scratch: ScratchSection = field(default_factory=ScratchSection)
    fidelity: FidelityConfig = field(default_factory=FidelityConfig)

    def __post_init__(self) -> None:
        check_run_name(self.run)
        if not self.runs_dir:
            raise ConfigError("runs_dir", self.runs_dir, "is empty", allowed="a folder, . for the current one")
        if not 0 <= self.seed < 2**31:
            raise ConfigError("seed", self.seed, allowed="0 <= seed < 2**31")
        if isinstance(self.budget, dict):
            object.__setattr__(self, "budget", {k: limit for k, limit in self.budget.items() if limit is not None})
        self._check_precision()
        within = () if self.search.within is None else parse_budget(self.search.within, "search.within")
        budgets = {} if self.budgets is None else parse_budgets(self.budgets)
        for name in budgets:
            check_link_name("budgets", name)
        budget = parse_budget(self.budget)
        for limit in (*(budget if self.budgets is None else ()), *within, *chain.from_iterable(budgets.values())):
            if limit.cost == LATENCY and limit.device != self.profile.device_name:
                raise _other_device(limit, self.profile)

    def _check_precision(self) -> None:
        """The profile's precision is one, and the bundle, which is measured in it too, can be run in it."""
        precision, backend = self.profile.precision, self.profile.backend
        if precision in CAST_PRECISIONS.get(backend, ()):
            return  # it casts the float32 weights, which every bundle holds
        if precision not in PRECISIONS:
            casts = [name for name, casts in CAST_PRECISIONS.items() if precision in casts]
            hint = f"Set profile.backend={casts[0]} for it" if casts else None
            allowed = ", ".join((*PRECISIONS, *CAST_PRECISIONS.get(backend, ())))
            raise ConfigError("profile.precision", precision, allowed=allowed, hint=hint)
        if precision not in self.export.precisions:
            raise ConfigError(
                "profile.precision",
                precision,
                "measures in a precision that the bundle will not hold",
                allowed=", ".join(self.export.precisions),
                hint=f"Add {precision} to export.precisions",
            )


def _other_device(limit: Limit, profile: ProfileConfig) -> ConfigError:
    """The error for a limit that is meant for another device than the profile measures on."""
    meant, _, threads = limit.device.partition("-")
    key = "threads" if meant == profile.device else "device"
    # Backend and precision go with the device, so the whole group is changed.
    fix = f"profile.threads={threads.rstrip('t')}" if key == "threads" else f"profile={meant}"
    return ConfigError(
        f"profile.{key}",
        getattr(profile, key),
        f"measures on {profile.device_name}, but {limit.section}.latency_ms is meant for {limit.device}",
        hint=f"Set {fix}, or write {{max: ..., device: {profile.device_name}}} for the limit",
    )
