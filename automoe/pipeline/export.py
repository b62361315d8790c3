"""Stage `export`: the finished model becomes a bundle, in the folder `bundle`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from automoe.data import PreparedData
from automoe.data.alignment import build_shortlist
from automoe.decoding.shortlist import Shortlist
from automoe.files import read_json
from automoe.nn.model_folder import SIZES
from automoe.pipeline.config import DecodingConfig, ExportSection, RunConfig, ShortlistSection
from automoe.pipeline.shipping import ship
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model

BUNDLE = "bundle"
"""Name of the bundle's folder within the stage's."""


@dataclass(frozen=True, kw_only=True)
class ExportPart:
    """What the bundle depends on beside the trained model and its corpus."""

    decoding: DecodingConfig
    export: ExportSection


def _part(config: RunConfig) -> ExportPart:
    export = config.export
    if not export.shortlist.build:  # what is not read shall not be hashed
        export = replace(export, shortlist=ShortlistSection(build=False))
    return ExportPart(decoding=config.decoding, export=export)


def _run(part: ExportPart, inputs: Inputs, out: Path) -> None:
    prepared = PreparedData.open(inputs["data"])
    model = inputs.folders.get("distill", inputs.folders.get("supernet"))
    assert model is not None, "the stage needs one of the two"
    trained = read_json(model / SIZES)
    info = {
        "corpus": prepared.summary.corpus,
        "corpus_fingerprint": prepared.summary.fingerprint,
    }
    if "update" in trained:  # a supernet that was taken over need not say
        info |= {"training_updates": trained["update"], "validation_nll": round(trained["valid_nll"], 4)}
    ship(
        trained_model(model),
        out / BUNDLE,
        prepared,
        part.decoding,
        info,
        precisions=part.export.precisions,
        shortlist=_shortlist(prepared, part.export.shortlist),
    )


def _shortlist(prepared: PreparedData, config: ShortlistSection) -> Shortlist | None:
    """What the tokens of the training sources became, by alignment of the training pairs."""
    if not config.build:
        return None
    sources, targets = prepared.ids("train", "src"), prepared.ids("train", "tgt")
    return build_shortlist(sources, targets, prepared.summary.vocab_size, config)


EXPORT = Stage(name="export", run=_run, part=_part, needs=("data", "distill"), seeded=False)
EXPORT_ONE = Stage(name="export", run=_run, part=_part, needs=("data", "supernet"), seeded=False)
"""The same for a run of one architecture, whose training is all there is."""
