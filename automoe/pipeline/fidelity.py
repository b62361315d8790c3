"""Stage `fidelity`: does the supernet order sub-transformers as training them from scratch does?

It scores the architectures of the stage `scratch` with inherited weights, on the same sentences, and compares both
orders, beside what orders them without any training. It holds `architectures.csv` (what is known of each) and
`fidelity.json` (the statistics, by validation loss and by BLEU).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from automoe.cost import costs
from automoe.data import PreparedData
from automoe.evaluation.fidelity import Fidelity, FidelityConfig, depth_then, rank_fidelity
from automoe.evaluation.seed_noise import Runs
from automoe.files import csv_text, write_atomically, write_json
from automoe.pipeline.config import RunConfig
from automoe.pipeline.scratch import Trained, evaluator_of, read_trained
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.progress import Progress
from automoe.space import Architecture

ARCHITECTURES, STATISTICS = "architectures.csv", "fidelity.json"
LOSS, BLEU = "validation loss", "validation BLEU"
"""What the truth is measured by."""


@dataclass(frozen=True, kw_only=True)
class FidelityPart:
    """What the comparison depends on beside data, supernet and trainings."""

    pre_norm: bool
    fidelity: FidelityConfig


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One architecture: trained from scratch, with inherited weights, and what it costs."""

    digest: str
    decoder_layers: int
    params: int
    """Without the embedding."""
    flops: int
    """Of one pass over 30 + 30 tokens, without the projection to the vocabulary."""
    scratch_losses: tuple[float, ...]
    """One a seed, nats per token."""
    scratch_bleus: tuple[float, ...]
    inherited_loss: float
    inherited_bleu: float


def read_compared(folder: Path) -> list[Compared]:
    """The architectures in a finished folder of this stage, in the order of the trainings."""
    with (folder / ARCHITECTURES).open(encoding="utf-8", newline="") as stream:
        return [_compared(row) for row in csv.DictReader(stream)]


def _compared(row: Mapping[str, str]) -> Compared:
    def of_seeds(quality: str) -> tuple[float, ...]:
        return tuple(float(value) for name, value in row.items() if name.startswith(f"scratch_{quality}_"))

    return Compared(
        digest=row["digest"],
        decoder_layers=int(row["decoder_layers"]),
        params=int(row["params"]),
        flops=int(row["flops"]),
        scratch_losses=of_seeds("loss"),
        scratch_bleus=of_seeds("bleu"),
        inherited_loss=float(row["inherited_loss"]),
        inherited_bleu=float(row["inherited_bleu"]),
    )


def baselines(compared: Sequence[Compared]) -> dict[str, Any]:
    """What orders architectures without a supernet: by name a value for each, higher for what should be better."""
    params, flops, depth = (
        [getattr(one, name) for one in compared] for name in ("params", "flops", "decoder_layers")
    )
    return {
        "parameters": params,
        "FLOPs": flops,
        "decoder depth": depth,
        "depth + parameters": depth_then(depth, params),
    }


def truths(compared: Sequence[Compared]) -> dict[str, Runs]:
    """The qualities of the trainings from scratch, higher is better, by what they are measured by."""
    return {
        LOSS: [[-loss for loss in one.scratch_losses] for one in compared],
        BLEU: [list(one.scratch_bleus) for one in compared],
    }


def judged(compared: Sequence[Compared], config: FidelityConfig) -> dict[str, Fidelity]:
    """How well inherited weights, and the baselines, order the architectures, by either truth."""
    inherited = {
        "inherited loss": [-one.inherited_loss for one in compared],
        "inherited BLEU": [one.inherited_bleu for one in compared],
    }
    trivial = baselines(compared)
    return {
        name: rank_fidelity(
            runs,
            {**inherited, **trivial},
            [one.decoder_layers for one in compared],
            baselines=tuple(trivial),
            config=config,
        )
        for name, runs in truths(compared).items()
    }


def _part(config: RunConfig) -> FidelityPart:
    return FidelityPart(pre_norm=config.model.pre_norm, fidelity=config.fidelity)


def _run(part: FidelityPart, inputs: Inputs, out: Path) -> None:
    runs: dict[Architecture, list[Trained]] = {}
    for trained in read_trained(inputs["scratch"]):
        runs.setdefault(trained.architecture, []).append(trained)
    data = PreparedData.open(inputs["data"])
    evaluator = evaluator_of(trained_model(inputs["supernet"]), data)
    compared = []
    with Progress("inherited weights", total=len(runs), unit="architecture") as progress:
        for arch, of_arch in runs.items():
            cost = costs(arch, vocab_size=data.summary.vocab_size, pre_norm=part.pre_norm)
            compared.append(
                Compared(
                    digest=arch.digest,
                    decoder_layers=len(arch.decoder.layers),
                    params=cost.params_without_embedding,
                    flops=cost.flops,
                    scratch_losses=tuple(trained.loss for trained in of_arch),
                    scratch_bleus=tuple(trained.bleu for trained in of_arch),
                    inherited_loss=evaluator.loss(arch),
                    inherited_bleu=evaluator.bleu(arch),
                )
            )
            progress.advance()
    write_atomically(out / ARCHITECTURES, csv_text([flat(one) for one in compared]))
    write_json(out / STATISTICS, {name: statistics(one) for name, one in judged(compared, part.fidelity).items()})


def statistics(fidelity: Fidelity) -> dict[str, Any]:
    """The JSON form of what was judged."""
    facts = {name: getattr(fidelity, name) for name in ("architectures", "trainings", "noise")}
    return {**facts, "config": asdict(fidelity.config), "rows": fidelity.to_rows()}


def flat(one: Compared) -> dict[str, Any]:
    """One row of `architectures.csv`: a column for each seed."""
    row = asdict(one)
    for name in ("loss", "bleu"):
        values: Sequence[float] = row.pop(f"scratch_{'losses' if name == 'loss' else 'bleus'}")
        row |= {f"scratch_{name}_{number}": value for number, value in enumerate(values, start=1)}
    return row


FIDELITY = Stage(name="fidelity", run=_run, part=_part, needs=("data", "supernet", "scratch"), seeded=False)
