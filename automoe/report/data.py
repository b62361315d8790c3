"""What a report shows, as plain values: whoever has a finished search fills them in, `render` draws them.

Latencies are milliseconds per sentence, losses nats per token, FLOPs 1e9, parameters 1e6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from automoe.space import Architecture


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """One architecture that the search evaluated."""

    digest: str
    loss: float
    """Validation loss with the weights inherited from the supernet."""
    bleu: float | None = None
    """BLEU of the validation sentences with these weights; None where the search did not translate."""
    latency_ms: float
    """Predicted latency."""
    lower_ms: float
    upper_ms: float
    measured_ms: float | None = None
    flops_g: float
    params_m: float
    on_front: bool = False
    chosen: bool = False
    feasible: bool = True
    """Whether it keeps every budget, as the choice saw it: by its upper bound, measured where it was measured."""


@dataclass(frozen=True, kw_only=True)
class BudgetLine:
    """One budget that was asked for."""

    cost: str
    """"latency_ms", "flops_g", "params_m" or "memory_mb"."""
    max: float
    text: str
    """As it reads after "the budget of": "12.3 ms (60 % of the 20.5 ms that the largest took in the profile)"."""
    value: float
    """What the bundle takes, in the unit of the cost."""
    kept: bool
    """Whether the bundle keeps it: the page says what this says, and compares nothing itself."""


@dataclass(frozen=True, kw_only=True)
class ChosenModel:
    """The architecture that was chosen, beside the largest of its space."""

    architecture: Architecture
    largest: Architecture
    expert_loads: Mapping[str, Sequence[int]]
    """Test tokens that each expert processed, in the order of `expert_widths`: {"encoder 0": [120, 80]}.
    Layers may be missing; dense ones need no entry."""
    digest: str
    selection_reasons: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class LearningPoint:
    """How well latency is predicted from a part of the measured architectures."""

    rows: int
    """Architectures that were learnt from."""
    error: float
    """Mean absolute error on others, in percent of the measured value; mean over draws of the rows."""
    spread: float
    """Standard deviation over the draws."""


@dataclass(frozen=True, kw_only=True)
class PredictorFit:
    """How well latency is predicted, by cross-validation: the lists hold one entry for each measured architecture."""

    name: str
    """The regressor that made the predictions; one of `metrics`."""
    measured_ms: Sequence[float] = ()
    predicted_ms: Sequence[float] = ()
    lower_ms: Sequence[float] = ()
    upper_ms: Sequence[float] = ()
    metrics: Mapping[str, Mapping[str, float]]
    """Regressor, then metric: {"ridge": {"kendall_tau": 0.93}, "depth lookup": {"kendall_tau": 0.71}}."""
    chosen: str = ""
    """The regressor that was chosen by these figures, where `name` is no regressor but a choice."""
    errors_percent: Mapping[str, float] = field(default_factory=dict)
    """Mean absolute error of each regressor, in percent of the measured value."""
    noise_percent: float | None = None
    """How well the measured values themselves are known: half the width of a row's 90 % interval, the median of the
    rows; None where the table does not tell."""
    learning_curve: Sequence[LearningPoint] = ()
    warnings: Sequence[str] = ()
    """What speaks against the figures."""

    def __post_init__(self) -> None:
        lengths = {len(x) for x in (self.measured_ms, self.predicted_ms, self.lower_ms, self.upper_ms)}
        if len(lengths) != 1:
            raise ValueError(f"measured, predicted, lower and upper differ in length: {sorted(lengths)}")


@dataclass(frozen=True, kw_only=True)
class ExecutedFit:
    """How well the FLOPs that experts execute under trained routing are predicted, by cross-validation."""

    rows: int
    """Architectures with recorded loads and experts of unequal width."""
    error_percent: float
    """Mean absolute error, learnt from the loads of the others."""
    uniform_percent: float
    """The same if every expert of a layer is taken to get as many tokens."""


@dataclass(frozen=True, kw_only=True)
class SearchTrace:
    """How a search got on."""

    objectives: Sequence[str]
    """What it made good: "loss", "bleu", and costs by name."""
    hypervolume: Sequence[float]
    """After each evaluation: the volume between the front and the worst of each objective."""

    @property
    def shares(self) -> list[float]:
        """Of the last hypervolume, 0 to 1; empty where the front has no volume."""
        last = self.hypervolume[-1] if len(self.hypervolume) else 0.0
        return [value / last for value in self.hypervolume] if last > 0 else []


@dataclass(frozen=True, kw_only=True)
class QualityFit:
    """How well the quality predictor guesses architectures that it has not seen, by cross-validation."""

    name: str
    """The regressor."""
    quality: str
    """What it guesses: "loss" or "bleu"."""
    rows: int
    """Evaluated architectures that it was cross-validated on."""
    spearman: float
    """Rank correlation of guessed and true values."""
    spearman_within_depth: float | None = None
    """The same among architectures of equal decoder depth."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A loss over the updates of one training."""

    panel: Literal["supernet", "distillation"]
    name: str
    updates: Sequence[int]
    values: Sequence[float]
    """Nats per token."""
    kind: Literal["train", "valid"]

    def __post_init__(self) -> None:
        if len(self.updates) != len(self.values):
            raise ValueError(f"curve {self.name!r}: {len(self.updates)} updates, {len(self.values)} values")


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """One row of the table of models; None is printed as a dash."""

    name: str
    bleu: float | None = None
    chrf: float | None = None
    latency_ms: float | None = None
    latency_low: float | None = None
    latency_high: float | None = None
    flops_g: float | None = None
    params_total_m: float | None = None
    params_active_m: float | None = None
    params_reachable_m: float | None = None
    note: str = ""
    role: Literal["chosen", "largest", "other"] = "other"
    """The chosen model makes the headline (the first row, if no row says "chosen"); the largest stands beside it."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One test sentence and what the models make of it."""

    source: str
    reference: str
    translations: Mapping[str, str]
    """Model name, then its translation."""


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """All that one page shows."""

    title: str
    subtitle: str = ""
    points: Sequence[FrontPoint]
    budgets: Sequence[BudgetLine]
    chosen: ChosenModel
    predictor: PredictorFit
    search: SearchTrace
    quality: QualityFit | None = None
    """None where qualities were not guessed, or too few architectures were evaluated to say how well."""
    executed: ExecutedFit | None = None
    """None where the table tells no loads, or where what experts execute does not depend on the routing."""
    curves: Sequence[Curve]
    models: Sequence[ModelRow]
    samples: Sequence[Sample]
    notes: Sequence[str] = ()
    signature: Mapping[str, str]

    def chosen_row(self) -> ModelRow | None:
        """The row of the chosen model: the one that says so, else the first."""
        return next((row for row in self.models if row.role == "chosen"), next(iter(self.models), None))

    def largest_row(self) -> ModelRow | None:
        """The row of the largest sub-transformer, if there is one."""
        return next((row for row in self.models if row.role == "largest"), None)

    def chosen_point(self) -> FrontPoint | None:
        """The evaluated architecture that was chosen, if it is among the points."""
        return next((point for point in self.points if point.chosen), None)
