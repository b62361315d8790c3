"""Stage `scratch`: some sub-transformers, each trained by itself from random weights, with several seeds.

They are what a supernet's ranking is judged by (stage `fidelity`); they need none themselves. It holds
`trainings/DIGEST-SEED/` (what a training holds, without its checkpoints), and `scratch.jsonl` with the validation
loss and BLEU of each.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automoe.data import PreparedData
from automoe.errors import ConfigError, TrainingError
from automoe.files import write_atomically
from automoe.nn import Transformer, TransformerConfig
from automoe.nn.model_folder import SIZES
from automoe.pipeline.config import ModelConfig, RunConfig, ScratchSection
from automoe.pipeline.files import TRAININGS
from automoe.pipeline.section import training_of
from automoe.pipeline.side_by_side import side_by_side
from automoe.pipeline.spaces import SpacePart, searched_part
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.progress import Progress
from automoe.space import Architecture, SearchSpace
from automoe.supernet.evaluator import SupernetEvaluator, validation_batches, validation_texts
from automoe.training.train import CHECKPOINTS, TrainingJob, train

SCORED = "scratch.jsonl"
"""One line a training: architecture, seed, validation loss in nats per token, BLEU."""
_DRAWS = 1000
"""Architectures that are drawn for each that is wanted before there seem to be no more of its kind."""


@dataclass(frozen=True, kw_only=True)
class ScratchPart:
    """What the trainings depend on beside the data."""

    space: SpacePart
    model: ModelConfig
    scratch: ScratchSection


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One training from scratch, and what it is worth on the validation set."""

    architecture: Architecture
    seed: int
    loss: float
    """Negative log-likelihood in nats per token."""
    bleu: float
    """Of greedy translations."""


def read_trained(folder: Path) -> list[Trained]:
    """The trainings in a finished folder of this stage: seeds of the same architecture follow each other."""
    forms = map(json.loads, (folder / SCORED).read_text(encoding="utf-8").splitlines())
    return [Trained(**{**form, "architecture": Architecture.from_dict(form["architecture"])}) for form in forms]


def evaluator_of(model: Transformer, data: PreparedData) -> SupernetEvaluator:
    """What judges trained and inherited weights alike, on one thread: loss and greedy BLEU on the validation set."""
    torch.set_num_threads(1)  # sums in another order differ in the last bits
    return SupernetEvaluator(model, validation_batches(data), validation_texts(data))


def drawn(space: SearchSpace, config: ScratchSection) -> list[Architecture]:
    """The architectures to train: a function of the space and of `config.draw` alone.

    Every choice is drawn uniformly; `config.at_one_depth` of them have the middle one of the decoder depths, the rest
    any other.

    Raises:
        ConfigError: the space does not hold as many different ones.
    """
    rng = np.random.default_rng([config.draw, zlib.crc32(b"scratch")])
    depths = space.decoder.depth
    middle = depths[len(depths) // 2]
    alike, others = config.at_one_depth, config.architectures - config.at_one_depth
    if len(depths) == 1:
        alike, others = config.architectures, 0
    found: dict[bool, dict[str, Architecture]] = {True: {}, False: {}}
    for _ in range(_DRAWS * config.architectures):
        arch = space.sample(rng)
        kind = len(arch.decoder.layers) == middle
        if len(found[kind]) < (alike if kind else others):
            found[kind].setdefault(arch.digest, arch)
        if len(found[True]) == alike and len(found[False]) == others:
            return [*found[True].values(), *found[False].values()]
    raise ConfigError(
        "scratch.architectures",
        config.architectures,
        f"asks for {alike} architectures with {middle} decoder layers and {others} others; the space holds "
        f"{len(found[True])} and {len(found[False])}",
        hint="Lower scratch.architectures or scratch.at_one_depth, or widen the space",
    )


def _part(config: RunConfig) -> ScratchPart:
    return ScratchPart(space=searched_part(config), model=config.model, scratch=config.scratch)


def _check(part: ScratchPart) -> None:
    drawn(part.space.space, part.scratch)


def _run(part: ScratchPart, inputs: Inputs, out: Path) -> None:
    config = part.scratch
    runs = [(arch, seed) for arch in drawn(part.space.space, config) for seed in config.seeds]
    training = partial(_train, part, inputs, out)
    with Progress("from scratch", total=len(runs), unit="training") as progress:
        for arch, seed in side_by_side(training, runs, config.workers):
            progress.advance(note=f"{arch.digest}, seed {seed}")
    lines = [json.dumps(scored) for scored in _scored(runs, inputs, out)]
    write_atomically(out / SCORED, "".join(f"{line}\n" for line in lines))


def _folder(out: Path, arch: Architecture, seed: int) -> Path:
    return out / TRAININGS / f"{arch.digest}-{seed}"


def _train(part: ScratchPart, inputs: Inputs, out: Path, run: tuple[Architecture, int]) -> None:
    """One training, unless it was finished before."""
    arch, seed = run
    folder = _folder(out, arch, seed)
    checkpoints = folder / CHECKPOINTS
    if (folder / SIZES).exists() and not checkpoints.exists():
        return
    vocab_size = PreparedData.open(inputs["data"]).summary.vocab_size
    job = TrainingJob(
        data=inputs["data"],
        architecture=arch,
        model=TransformerConfig(vocab_size=vocab_size, **asdict(part.model)),
        training=part.scratch.training,
        seed=seed,
    )
    try:
        with training_of("scratch"):
            train(job, folder, quiet=part.scratch.workers > 1)
    except TrainingError as error:
        error.problem = f"architecture {arch.digest}, seed {seed}: {error.problem}"
        error.args = (str(error),)
        raise
    shutil.rmtree(checkpoints)  # three times the weights; the run is finished


def _scored(runs: Sequence[tuple[Architecture, int]], inputs: Inputs, out: Path) -> Iterator[dict[str, Any]]:
    data = PreparedData.open(inputs["data"])
    with Progress("validation", total=len(runs), unit="model") as progress:
        for arch, seed in runs:
            evaluator = evaluator_of(trained_model(_folder(out, arch, seed)), data)
            yield {
                "architecture": arch.to_dict(), "seed": seed,
                "loss": evaluator.loss(arch), "bleu": evaluator.bleu(arch),
            }  # fmt: skip
            progress.advance()


SCRATCH = Stage(name="scratch", run=_run, part=_part, needs=("data",), check=_check, seeded=False, version=2)
