"""Stage `evaluate`: translates the test set with the bundle, as a user would, and scores it.

It holds `hypotheses.txt` (one a line) and `scores.json`: BLEU and chrF with signatures, those of copying the
source, placeholders lost and invented, and how many test tokens each expert processed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from automoe.data import IdArray, PreparedData
from automoe.decoding import Int64Array
from automoe.decoding.placeholders import count_placeholder_errors
from automoe.decoding.symbols import PAD
from automoe.evaluation import bleu, bleu_tokenizer, chrf
from automoe.files import write_atomically, write_json
from automoe.nn.expert_loads import expert_loads
from automoe.pipeline.config import DecodingConfig, RunConfig
from automoe.pipeline.export import BUNDLE
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model
from automoe.progress import Progress
from automoe.runtime import load

SCORES, HYPOTHESES = "scores.json", "hypotheses.txt"
_BATCH_TOKENS = 4096


def _part(config: RunConfig) -> DecodingConfig:
    return config.decoding


def _run(config: DecodingConfig, inputs: Inputs, out: Path) -> None:
    prepared = PreparedData.open(inputs["data"])
    sources, references = prepared.text("test", "src"), prepared.text("test", "tgt")
    translator = load(inputs["export"] / BUNDLE)
    with Progress("translating the test set", total=len(sources), unit="sentence") as progress:
        hypotheses = translator.translate(sources, batch_size=config.batch_size, on_progress=progress.advance)
    write_atomically(out / HYPOTHESES, "".join(line + "\n" for line in hypotheses))
    tokenize = bleu_tokenizer(prepared.target_lang)
    loads = expert_loads(trained_model(inputs["supernet"]), _batches(prepared))
    write_json(
        out / SCORES,
        {
            "sentences": len(sources),
            "model": _scores(hypotheses, references, tokenize),
            "copy_the_source": _scores(sources, references, tokenize),
            "placeholders": _placeholders(prepared, sources, hypotheses),
            "expert_loads": {f"{side} {layer}": counts for (side, layer), counts in loads.items()},
        },
    )


def _scores(hypotheses: list[str], references: list[str], tokenize: str) -> dict[str, Any]:
    scores = (bleu(hypotheses, references, tokenize=tokenize), chrf(hypotheses, references))
    return {score.name: {"value": score.value, "signature": score.signature} for score in scores}


def _placeholders(prepared: PreparedData, sources: list[str], hypotheses: list[str]) -> dict[str, int] | None:
    pattern = prepared.summary.placeholder_pattern
    if pattern is None:
        return None
    errors = count_placeholder_errors(sources, hypotheses, pattern)
    return {"expected": errors.expected, "lost": errors.lost, "invented": errors.invented}


def _batches(prepared: PreparedData) -> Iterator[tuple[Tensor, Tensor]]:
    """The test set as padded batches of sources and of targets shifted right; sentences of like length together."""
    sources, targets = prepared.ids("test", "src"), prepared.ids("test", "tgt")
    for rows in _rows(np.maximum(sources.lengths, targets.lengths)):
        yield _padded(sources, rows), _padded(targets, rows, shifted=True)


def _rows(lengths: Int64Array) -> Iterator[list[int]]:
    """Sentences from the shortest to the longest, as many at once as `_BATCH_TOKENS` allow."""
    rows: list[int] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        if rows and (len(rows) + 1) * lengths[row] > _BATCH_TOKENS:
            yield rows
            rows = []
        rows.append(row)
    yield rows


def _padded(ids: IdArray, rows: list[int], *, shifted: bool = False) -> Tensor:
    sentences = [torch.from_numpy(ids[row]) for row in rows]
    if shifted:  # the end symbol moves to the front
        sentences = [sentence.roll(1) for sentence in sentences]
    return pad_sequence(sentences, batch_first=True, padding_value=PAD)


EVALUATE = Stage(name="evaluate", run=_run, part=_part, needs=("data", "supernet", "export"), seeded=False)
