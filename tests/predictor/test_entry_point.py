import importlib.metadata

import numpy as np
import pytest

from automoe.predictor import make_predictor, regressor
from tests.predictor.samples import measured


class Constant:
    """A regressor of another package: the median of all values."""

    groups = ("sums",)

    def __init__(self, value):
        self.value = value

    @classmethod
    def fit(cls, features, values_N):
        return cls(float(np.median(values_N)))

    def predict(self, features):
        return np.full(len(features), self.value)

    def to_dict(self):
        return {"value": self.value}

    @classmethod
    def from_dict(cls, form):
        return cls(form["value"])


def test_a_regressor_of_another_package_is_found_by_name_and_gets_intervals(monkeypatch):
    point = importlib.metadata.EntryPoint("constant", f"{__name__}:Constant", regressor.ENTRY_POINT_GROUP)
    monkeypatch.setattr(regressor, "entry_points", lambda group: [point])
    archs, values_N = measured(30, 0.1)
    predictor = make_predictor("constant", 0.9)
    predictor.fit(archs, values_N)
    prediction = predictor.predict(archs)
    assert (prediction.mean_N == np.median(values_N)).all()
    inside_N = (prediction.lower_N <= values_N) & (values_N <= prediction.upper_N)
    assert inside_N.mean() >= 0.85


@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan, np.inf])
@pytest.mark.parametrize("method", ["predict", "spread"])
def test_a_regressor_that_predicts_no_positive_numbers_makes_no_intervals_of_them(monkeypatch, method, value):
    wrong = type("Wrong", (Constant,), {method: lambda self, features: np.full(len(features), value)})
    monkeypatch.setitem(globals(), "Wrong", wrong)
    point = importlib.metadata.EntryPoint("wrong", f"{__name__}:Wrong", regressor.ENTRY_POINT_GROUP)
    monkeypatch.setattr(regressor, "entry_points", lambda group: [point])
    with pytest.raises(ValueError, match="Wrong predicts a value or a spread that is not a positive number"):
        make_predictor("wrong").fit(*measured(30, 0.1))
