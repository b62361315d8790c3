"""Stage `data`: a corpus becomes cleaned, split and segmented sentences."""

from __future__ import annotations

from pathlib import Path

from automoe.data import DataConfig, open_corpus, prepare
from automoe.pipeline.config import RunConfig
from automoe.pipeline.stage import Inputs, Stage


def _part(config: RunConfig) -> DataConfig:
    return config.data


def _fingerprint(config: DataConfig) -> dict[str, str]:
    return {"corpus": open_corpus(config).fingerprint()}


def _run(config: DataConfig, inputs: Inputs, out: Path) -> None:
    prepare(config, out)


DATA = Stage(name="data", run=_run, part=_part, fingerprint=_fingerprint, seeded=False)
