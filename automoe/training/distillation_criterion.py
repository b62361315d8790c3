"""fairseq criterion `automoe_distillation`: learns from the reference and from teachers, word by word."""

# No `from __future__ import annotations` here: fairseq reads the types of the arguments at run time.

from dataclasses import dataclass, field
from typing import Any, ClassVar

from fairseq.criterions import register_criterion
from omegaconf import MISSING

from automoe.distill import DistillConfig
from automoe.distill.losses import distillation_loss
from automoe.distill.teacher import Teacher
from automoe.nn import mean_router_losses
from automoe.training.criterion import AutoMoECriterion, AutoMoECrossEntropyConfig, Output
from automoe.training.teachers import read_teacher, teachers_of_argument


@dataclass
class AutoMoEDistillationConfig(AutoMoECrossEntropyConfig):
    """Arguments of the criterion."""

    teacher: str = field(
        default=MISSING,
        metadata={
            "help": "model folder (model.json, model.safetensors), such as a supernet's, or a list of them in JSON, "
            "whose mean distribution teaches"
        },
    )
    distillation: float = field(default=DistillConfig.share, metadata={"help": "share of learning from the teacher"})
    distillation_temperature: float = field(
        default=DistillConfig.temperature, metadata={"help": "divides the scores in the distillation"}
    )


@register_criterion("automoe_distillation", dataclass=AutoMoEDistillationConfig)
class AutoMoEDistillation(AutoMoECriterion):
    """Word-level distillation (Kim & Rush 2016, section 3.1); validates on the reference alone."""

    scalars: ClassVar[tuple[str, ...]] = (*AutoMoECriterion.scalars, "distillation")

    def __init__(self, task: Any, cfg: AutoMoEDistillationConfig) -> None:
        super().__init__(task, cfg)
        self.config = DistillConfig(share=cfg.distillation, temperature=cfg.distillation_temperature)
        self.teacher: Teacher | None = None
        if self.config.share > 0:
            self.teacher = read_teacher(teachers_of_argument(cfg.teacher), task.prepared)

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> Output:
        """The loss summed over tokens, their number, and what is logged."""
        net_input, teacher_NLV = sample["net_input"], None
        if self.teacher is not None:
            teacher_NLV = self.teacher.logits(net_input["src_tokens"], net_input["prev_output_tokens"])
        logits_NLV, extra = model(**net_input)
        losses = distillation_loss(logits_NLV, teacher_NLV, sample["target"], self.config, self.label_smoothing)
        balance, z = mean_router_losses(list(extra["routings"].values()), logits_NLV)
        distillation = {"distillation": losses.distillation}
        return self.output(sample, losses.loss, losses.nll, balance, z, extra["routings"], **distillation)
