"""Stage `export`: the finished model becomes a bundle, in the folder `bundle`."""

from __future__ import annotations

from pathlib import Path

from automoe.data import PreparedData
from automoe.files import read_json
from automoe.nn.model_folder import SIZES
from automoe.pipeline.config import DecodingConfig, RunConfig
from automoe.pipeline.shipping import ship
from automoe.pipeline.stage import Inputs, Stage
from automoe.pipeline.supernet import trained_model

BUNDLE = "bundle"
"""Name of the bundle's folder within the stage's."""


def _part(config: RunConfig) -> DecodingConfig:
    return config.decoding


def _run(config: DecodingConfig, inputs: Inputs, out: Path) -> None:
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
    ship(trained_model(model), out / BUNDLE, prepared, config, info)


EXPORT = Stage(name="export", run=_run, part=_part, needs=("data", "distill"), seeded=False)
EXPORT_ONE = Stage(name="export", run=_run, part=_part, needs=("data", "supernet"), seeded=False)
"""The same for a run of one architecture, whose training is all there is."""
