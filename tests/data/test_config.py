from dataclasses import asdict
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from automoe.data.config import CleaningConfig, DataConfig, SplitConfig, VocabularyConfig
from automoe.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf" / "data"
SHIPPED = {"home_assistant": {}, "multi30k": {"placeholder_pattern": None}, "text": {}}
"""Which of the defaults each file changes."""


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_merge_into_the_structured_config_and_restate_its_defaults(name):
    schema = OmegaConf.structured(DataConfig)
    _unfreeze(schema)
    merged = OmegaConf.merge(schema, OmegaConf.load(CONF / f"{name}.yaml"))
    assert asdict(OmegaConf.to_object(merged)) == asdict(DataConfig(corpus=name, **SHIPPED[name]))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_line_of_the_shipped_files_is_commented(name):
    lines = (CONF / f"{name}.yaml").read_text().splitlines()
    uncommented = [line for line in lines if line.strip() and not line.startswith("cleaning:") and "# " not in line]
    assert uncommented == []


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: DataConfig(target="en"), "data.target=en"),
        (lambda: DataConfig(source="../x"), "data.source"),
        (lambda: DataConfig(placeholder_pattern="("), "data.placeholder_pattern"),
        (lambda: CleaningConfig(max_tokens=1), "data.cleaning.max_tokens=1"),
        (lambda: CleaningConfig(max_ratio=0.5), "data.cleaning.max_ratio=0.5"),
        (lambda: SplitConfig(test_size=0), "data.split.test_size=0"),
        (lambda: VocabularyConfig(kind="unigramm"), "Did you mean 'unigram'"),
        (lambda: VocabularyConfig(size=5), "data.vocabulary.size=5"),
        (lambda: VocabularyConfig(character_coverage=2), "data.vocabulary.character_coverage"),
    ],
)
def test_values_that_make_no_sense_are_errors_that_name_the_key(make, named):
    with pytest.raises(ConfigError, match=named):
        make()


def _unfreeze(node):  # OmegaConf makes the schema of a frozen dataclass read-only
    OmegaConf.set_readonly(node, None)
    for value in node.values():
        if isinstance(value, DictConfig):
            _unfreeze(value)
