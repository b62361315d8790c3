"""The little corpus of the tests, as a configuration."""

from dataclasses import replace
from pathlib import Path

from automoe.data.config import DataConfig, VocabularyConfig

FOLDER = Path(__file__).parents[1] / "fixtures" / "corpus"


def fixture_config(**changes) -> DataConfig:
    files = {
        f"{split}_{side}": str(FOLDER / f"{split}.{language}")
        for split in ("train", "valid", "test")
        for side, language in (("source", "en"), ("target", "de"))
    }
    return replace(DataConfig(corpus="text", vocabulary=VocabularyConfig(size=110), **files), **changes)
