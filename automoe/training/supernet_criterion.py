"""fairseq criterion `automoe_supernet`: trains one or several sub-transformers of a search space in every step."""

# No `from __future__ import annotations` here: fairseq reads the types of the arguments at run time.

from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from fairseq.criterions import register_criterion
from omegaconf import II, MISSING

from automoe.nn import Decoded, smoothed_cross_entropy
from automoe.supernet import SupernetConfig, panel, visits
from automoe.supernet.config import Placements, Rule
from automoe.supernet.losses import supernet_loss
from automoe.training.arguments import space_of_argument
from automoe.training.criterion import PANEL, AutoMoECriterion, AutoMoECrossEntropyConfig, Output
from automoe.training.task import UPDATE


@dataclass
class AutoMoESupernetConfig(AutoMoECrossEntropyConfig):
    """Arguments of the criterion."""

    space: str = field(
        default=MISSING, metadata={"help": "search space: name or YAML file; checkpoints hold its content"}
    )
    rule: str = field(
        default=SupernetConfig.rule,
        metadata={"help": "what a step visits: sandwich (largest, smallest, random) or single_path (one random)"},
    )
    placements: str = field(
        default=SupernetConfig.placements,
        metadata={"help": "experts of what is visited: fair (drawn anew each time) or first (always the first ones)"},
    )
    random_architectures: int = field(
        default=SupernetConfig.random,
        metadata={"help": "random sub-transformers of a sandwich, beside the largest and the smallest"},
    )
    panel: int = field(
        default=SupernetConfig.panel, metadata={"help": "random sub-transformers that are validated, always the same"}
    )
    distillation: float = field(
        default=SupernetConfig.distillation,
        metadata={"help": "share of learning from the largest in the loss of all others"},
    )
    distillation_temperature: float = field(
        default=SupernetConfig.temperature, metadata={"help": "divides the scores in the distillation"}
    )
    seed: int = II("common.seed")


@register_criterion("automoe_supernet", dataclass=AutoMoESupernetConfig)
class AutoMoESupernet(AutoMoECriterion):
    """The training of a supernet, see `SupernetConfig`; validates the mean over a fixed panel."""

    scalars: ClassVar[tuple[str, ...]] = (*AutoMoECriterion.scalars, "distillation")

    def __init__(self, task: Any, cfg: AutoMoESupernetConfig) -> None:
        super().__init__(task, cfg)
        self.space = space_of_argument(cfg.space)
        self.seed = cfg.seed
        self.config = SupernetConfig(
            rule=cast(Rule, cfg.rule),
            placements=cast(Placements, cfg.placements),
            random=cfg.random_architectures,
            distillation=cfg.distillation,
            temperature=cfg.distillation_temperature,
            panel=cfg.panel,
        )
        self.panel = panel(self.space, self.config, self.seed)

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> Output:
        """The loss summed over tokens, their number, and what is logged.

        `nll_loss` and the routers' loads are those of the first that is visited: in a sandwich the largest.
        """
        if not self.training:
            return self._validate(model, sample)
        chosen = visits(self.space, self.config, self.seed, sample[UPDATE])
        outputs = [Decoded(logits_NLV, extra["routings"]) for logits_NLV, extra in
                   model(**sample["net_input"], visits=chosen)]  # fmt: skip
        losses = supernet_loss(outputs, sample["target"], self.config, self.label_smoothing)
        return self.output(
            sample, losses.loss, losses.nll, losses.balance, losses.z, outputs[0].routings,
            distillation=losses.distillation,
        )  # fmt: skip

    def _validate(self, model: Any, sample: dict[str, Any]) -> Output:
        """Mean losses over the panel, so that the best checkpoint is not the best of one sub-transformer alone."""
        smoothed, nll, routings = {}, {}, {}
        for name, visit in self.panel.items():  # one after the other: a panel's logits together take much memory
            [(logits_NLV, extra)] = model(**sample["net_input"], visits=(visit,))
            routings[name] = extra["routings"]
            smoothed[name], nll[name] = smoothed_cross_entropy(logits_NLV, sample["target"], self.label_smoothing)
        zero = next(iter(nll.values())).new_zeros(())
        loss, mean_nll = (sum(parts.values(), zero) / len(parts) for parts in (smoothed, nll))
        members = {PANEL + name: total for name, total in nll.items()}
        return self.output(sample, loss, mean_nll, zero, zero, routings["largest"], distillation=zero, **members)
