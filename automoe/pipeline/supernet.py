"""Stage `supernet`: trains the weights that all architectures of the space share.

It holds `model.safetensors` and `model.json` (the weights of the best validation), `training.jsonl` (losses) and
`checkpoints/` (fairseq's format); or a copy of the weights that `supernet.weights` names.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from automoe.data import DataSummary, PreparedData
from automoe.errors import RunError, TrainingError
from automoe.files import read_json, sha256_of
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import SIZES, WEIGHTS, read_model, write_model
from automoe.pipeline.config import ModelConfig, RunConfig, SupernetSection
from automoe.pipeline.spaces import SpacePart, space_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.space import SearchSpace
from automoe.training.config import TrainingConfig
from automoe.training.inherit import load_initial
from automoe.training.objective import PlainObjective, SupernetObjective
from automoe.training.train import TrainingJob, train


@dataclass(frozen=True, kw_only=True)
class SupernetPart:
    """What the training depends on beside the data."""

    space: SpacePart
    model: ModelConfig
    supernet: SupernetSection
    training: TrainingConfig

    @property
    def weights(self) -> Path | None:
        """Folder of a supernet to take over."""
        return None if self.supernet.weights is None else Path(self.supernet.weights)


def _part(config: RunConfig) -> SupernetPart:
    supernet, training = config.supernet, config.training
    if config.architecture is not None:  # what is not read shall not be hashed
        supernet = SupernetSection(weights=supernet.weights)
    if supernet.weights is not None:
        supernet, training = SupernetSection(weights=supernet.weights), TrainingConfig()
    return SupernetPart(space=space_part(config), model=config.model, supernet=supernet, training=training)


def _fingerprint(part: SupernetPart) -> dict[str, str]:
    if part.weights is None:
        return {}
    for name in (SIZES, WEIGHTS):
        if not (part.weights / name).is_file():
            raise TrainingError(
                "holds no trained supernet",
                file=part.weights / name,
                key="supernet.weights",
                value=str(part.weights),
                hint="Name the folder of a finished supernet, such as runs/NAME/supernet/current",
            )
    return {"weights": sha256_of(part.weights / SIZES)}  # which holds the checksum of the weights


def _run(part: SupernetPart, inputs: Inputs, out: Path) -> None:
    summary = PreparedData.open(inputs["data"]).summary
    space = part.space.space
    model = TransformerConfig(vocab_size=summary.vocab_size, **asdict(part.model))
    if part.weights is not None:
        _take_over(part.weights, space, model, summary, out)
        return
    one_point = space.num_architectures == 1
    job = TrainingJob(
        data=inputs["data"],
        architecture=space.envelope(),
        model=model,
        training=part.training,
        seed=inputs.seed,
        objective=PlainObjective() if one_point else SupernetObjective(space=space, config=part.supernet),
    )
    train(job, out)


def _take_over(folder: Path, space: SearchSpace, model: TransformerConfig, summary: DataSummary, out: Path) -> None:
    """Copies a supernet that was trained elsewhere, if it is one of this corpus, model and space."""
    transformer = Transformer(space.envelope(), model)
    load_initial(transformer, folder, summary, space.digest)
    info = read_json(folder / SIZES)
    known = ("segmenter", "space", "update", "valid_nll")
    write_model(transformer, out, **{name: info[name] for name in known if name in info})


def trained_model(folder: Path) -> Transformer:
    """The model in a finished folder of this stage, or of the stage `distill`.

    Raises:
        RunError: the model's files are damaged.
    """
    try:
        return read_model(folder)
    except (OSError, ValueError, KeyError) as error:
        raise RunError(
            f"the trained model is damaged: {error}",
            file=folder,
            hint=f"Move the folder {folder} away and run the same command again: it is then made anew",
        ) from error


SUPERNET = Stage(name="supernet", run=_run, part=_part, needs=("data",), fingerprint=_fingerprint, version=2)
