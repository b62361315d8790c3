"""Stage `evaluate`: translates the test set with the bundle, as a user would, and scores it.

It holds `hypotheses.txt` (one a line) and `scores.json`: BLEU and chrF with signatures, those of copying the
source, placeholders lost and invented, and how many test tokens each expert processed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from automoe.data import PreparedData
from automoe.decoding.placeholders import count_placeholder_errors
from automoe.decoding.symbols import EOS, PAD
from automoe.evaluation import bleu, chrf
from automoe.files import write_atomically, write_json
from automoe.nn.expert_loads import expert_loads
from automoe.pipeline.config import DecodingConfig, RunConfig
from automoe.pipeline.export import BUNDLE
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.progress import Progress
from automoe.runtime import load

SCORES, HYPOTHESES = "scores.json", "hypotheses.txt"
_BATCH = 64


def _part(config: RunConfig) -> DecodingConfig:
    return config.decoding


def _run(config: DecodingConfig, inputs: Inputs, out: Path) -> None:
    prepared = PreparedData.open(inputs["data"])
    sources, references = prepared.text("test", "src"), prepared.text("test", "tgt")
    translator = load(inputs["export"] / BUNDLE)
    with Progress("translating the test set", total=len(sources), unit="sentence") as progress:
        hypotheses = translator.translate(sources, batch_size=config.batch_size, on_progress=progress.advance)
    write_atomically(out / HYPOTHESES, "".join(line + "\n" for line in hypotheses))
    loads = expert_loads(trained_model(inputs["supernet"]), _batches(prepared))
    write_json(
        out / SCORES,
        {
            "sentences": len(sources),
            "model": _scores(hypotheses, references),
            "copy_the_source": _scores(sources, references),
            "placeholders": _placeholders(prepared, sources, hypotheses),
            "expert_loads": {f"{side} {layer}": counts for (side, layer), counts in loads.items()},
        },
    )


def _scores(hypotheses: list[str], references: list[str]) -> dict[str, Any]:
    scores = (bleu(hypotheses, references), chrf(hypotheses, references))
    return {score.name: {"value": score.value, "signature": score.signature} for score in scores}


def _placeholders(prepared: PreparedData, sources: list[str], hypotheses: list[str]) -> dict[str, int] | None:
    pattern = prepared.summary.placeholder_pattern
    if pattern is None:
        return None
    errors = count_placeholder_errors(sources, hypotheses, pattern)
    return {"expected": errors.expected, "lost": errors.lost, "invented": errors.invented}


def _batches(prepared: PreparedData) -> Iterator[tuple[Tensor, Tensor]]:
    """The test set as padded batches of sources and of targets shifted right."""
    pairs = list(zip(prepared.ids("test", "src"), prepared.ids("test", "tgt"), strict=True))
    for first in range(0, len(pairs), _BATCH):
        sources = [torch.from_numpy(source) for source, _ in pairs[first : first + _BATCH]]
        targets = [torch.from_numpy(target).roll(1) for _, target in pairs[first : first + _BATCH]]
        assert all(int(target[0]) == EOS for target in targets)
        yield (
            pad_sequence(sources, batch_first=True, padding_value=PAD),
            pad_sequence(targets, batch_first=True, padding_value=PAD),
        )


EVALUATE = Stage(name="evaluate", run=_run, part=_part, needs=("data", "supernet", "export"), seeded=False)
