"""The shipped settings of every searcher are its defaults, and complete."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from automoe.search.searcher import options_of

CONF = Path(__file__).parents[3] / "conf" / "search"


@pytest.mark.parametrize("name", ["evolution", "random", "regularised", "automoe", "nsga2", "local"])
def test_the_shipped_options_are_all_that_there_are_and_the_defaults(name):
    shipped = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert shipped["searcher"] == name
    assert shipped["options"] == asdict(options_of(name, {}))


@pytest.mark.parametrize("name", ["random", "regularised", "automoe", "nsga2", "local"])
def test_the_shipped_settings_are_those_of_the_default_searcher_and_each_is_explained(name):
    lines = (CONF / f"{name}.yaml").read_text().splitlines()
    evolution = yaml.safe_load((CONF / "evolution.yaml").read_text())
    assert yaml.safe_load("\n".join(lines)).keys() == evolution.keys()
    assert all("# " in line for line in lines if line != "options:")
