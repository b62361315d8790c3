"""Stage `distill`: the chosen sub-transformer goes on learning by itself, from the largest one and the references.

It holds what a training holds (`model.safetensors`, `model.json`, `training.jsonl`, `checkpoints/`), and in
`inherited/` the weights that it began with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from automoe.data import PreparedData
from automoe.nn import TransformerConfig
from automoe.nn.model_folder import SIZES, write_model
from automoe.pipeline.config import DistillSection, ModelConfig, RunConfig
from automoe.pipeline.files import INHERITED
from automoe.pipeline.section import training_of
from automoe.pipeline.select import chosen_architecture
from automoe.pipeline.shipping import sub_transformer
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.training.objective import DistillObjective
from automoe.training.train import TrainingJob, train


@dataclass(frozen=True, kw_only=True)
class DistillPart:
    """What the training depends on beside data, supernet and choice."""

    model: ModelConfig
    distill: DistillSection


def _part(config: RunConfig) -> DistillPart:
    return DistillPart(model=config.model, distill=config.distill)


def _run(part: DistillPart, inputs: Inputs, out: Path) -> None:
    summary = PreparedData.open(inputs["data"]).summary
    arch = chosen_architecture(inputs["select"])
    inherited = out / INHERITED
    if not (inherited / SIZES).exists():  # written last
        inherited.mkdir(exist_ok=True)
        model = sub_transformer(trained_model(inputs["supernet"]), arch)
        write_model(model, inherited, segmenter=summary.segmenter)
    job = TrainingJob(
        data=inputs["data"],
        architecture=arch,
        model=TransformerConfig(vocab_size=summary.vocab_size, **asdict(part.model)),
        training=part.distill.training,
        seed=inputs.seed,
        objective=DistillObjective(teacher=inputs["supernet"], config=part.distill),
        initial=inherited if part.distill.initial == "inherited" else None,
    )
    with training_of("distill"):
        train(job, out)


DISTILL = Stage(name="distill", run=_run, part=_part, needs=("data", "supernet", "select"))
