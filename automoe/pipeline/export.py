"""Stage `export`: the trained model becomes a bundle, in the folder `bundle`."""

from __future__ import annotations

import json
from pathlib import Path

from automoe.data import PreparedData
from automoe.export import export_bundle
from automoe.nn.model_folder import SIZES
from automoe.pipeline.config import DecodingConfig, RunConfig
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model

BUNDLE = "bundle"
"""Name of the bundle's folder within the stage's."""


def _part(config: RunConfig) -> DecodingConfig:
    return config.decoding


def _run(config: DecodingConfig, inputs: Inputs, out: Path) -> None:
    prepared = PreparedData.open(inputs["data"])
    transformer = trained_model(inputs["supernet"])
    trained = json.loads((inputs["supernet"] / SIZES).read_bytes())
    export_bundle(
        transformer,
        out / BUNDLE,
        segmenter_model=prepared.segmenter.model,
        placeholder_pattern=prepared.summary.placeholder_pattern,
        source_language=prepared.source_lang,
        target_language=prepared.target_lang,
        max_source_tokens=config.max_source_tokens,
        decoding=config.search().to_dict(),
        info={
            "corpus": prepared.summary.corpus,
            "corpus_fingerprint": prepared.summary.fingerprint,
            "training_updates": trained["update"],
            "validation_nll": round(trained["valid_nll"], 4),
        },
    )


EXPORT = Stage(name="export", run=_run, part=_part, needs=("data", "supernet"), seeded=False)
