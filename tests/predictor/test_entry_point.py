import importlib.metadata

import numpy as np

from automoe.predictor import make_predictor, regressor
from tests.predictor.samples import measured


class Constant:
    """A regressor of another package: the median of all values."""

    def __init__(self, value):
        self.value = value

    @classmethod
    def fit(cls, archs, values_N):
        return cls(float(np.median(values_N)))

    def predict(self, archs):
        return np.full(len(archs), self.value)

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
