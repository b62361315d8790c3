"""The regressor of docs/predictor.md, as another package would bring it."""

import importlib.metadata
import json
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from automoe.predictor import make_predictor, predictor_from_dict, regressor
from automoe.predictor.comparison import BASELINE, compare
from tests.predictor.samples import measured

DOCS = (Path(__file__).parents[2] / "docs" / "predictor.md").read_text(encoding="utf-8")


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCS, flags=re.DOTALL)
    return found


@pytest.fixture
def installed(tmp_path, monkeypatch):
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "nearest.py").write_text(block("python"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    group = regressor.ENTRY_POINT_GROUP
    points = tomllib.loads(block("toml"))["project"]["entry-points"][group]
    found = [importlib.metadata.EntryPoint(name, value, group) for name, value in points.items()]
    monkeypatch.setattr(regressor, "entry_points", lambda group: found)
    yield
    for name in ("my_package", "my_package.nearest"):
        sys.modules.pop(name, None)


def test_the_documented_regressor_learns_gets_intervals_and_is_read_back(installed):
    archs, values_N = measured(60, 0.02)
    predictor = make_predictor("nearest")
    predictor.fit(archs, values_N)
    reports = compare(predictor, archs, values_N)
    assert reports["nearest"].spearman > reports[BASELINE].spearman
    assert 0.8 <= reports["nearest"].coverage <= 1
    again = predictor_from_dict(json.loads(json.dumps(predictor.to_dict())))
    np.testing.assert_array_equal(again.predict(archs).upper_N, predictor.predict(archs).upper_N)


def test_every_kind_that_comes_with_automoe_is_documented_and_no_other():
    table = DOCS.partition("| `predictor.kind` |")[2].partition("\n\n")[0]
    names = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in table.splitlines()[2:])))
    assert names == {"auto", *regressor.REGRESSORS}
