"""Stage `supernet`: trains the model that holds every architecture of the space; today the space is one point.

It holds `model.safetensors` and `model.json` (the weights of the best validation), `training.jsonl` (losses)
and `checkpoints/` (fairseq's format).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from automoe.data import PreparedData
from automoe.errors import RunError
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import read_model
from automoe.pipeline.config import ModelConfig, RunConfig
from automoe.pipeline.stage import Inputs, Stage
from automoe.space import Architecture, find_architecture, read_architecture
from automoe.training.config import TrainingConfig
from automoe.training.train import TrainingJob, train


@dataclass(frozen=True, kw_only=True)
class SupernetPart:
    """What the training depends on beside the data."""

    architecture: Architecture
    model: ModelConfig
    training: TrainingConfig


def _part(config: RunConfig) -> SupernetPart:
    architecture = read_architecture(find_architecture(config.architecture))
    return SupernetPart(architecture=architecture, model=config.model, training=config.training)


def _run(part: SupernetPart, inputs: Inputs, out: Path) -> None:
    vocab_size = PreparedData.open(inputs["data"]).summary.vocab_size
    job = TrainingJob(
        data=inputs["data"],
        architecture=part.architecture,
        model=TransformerConfig(vocab_size=vocab_size, **asdict(part.model)),
        training=part.training,
        seed=inputs.seed,
    )
    train(job, out)


def trained_model(folder: Path) -> Transformer:
    """The model in the finished folder of this stage.

    Raises:
        RunError: the model's files are damaged.
    """
    try:
        return read_model(folder)
    except (OSError, ValueError, KeyError) as error:
        raise RunError(
            f"the trained model is damaged: {error}",
            file=folder,
            hint=f"Move the folder {folder} away and run the same command again: it is then trained anew",
        ) from error


SUPERNET = Stage(name="supernet", run=_run, part=_part, needs=("data",))
