"""Budgets in spaces whose smallest architecture is not the cheapest."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from automoe.cost import costs
from automoe.errors import ConfigError
from automoe.pipeline import budget as budget_module
from automoe.pipeline.budget import refuse_after_data
from automoe.pipeline.costing import CostModel
from automoe.pipeline.predictor import _bounds
from automoe.predictor import Prediction
from automoe.search import LATENCY, in_budget_units, parse_budget
from automoe.space import Census, Constraint, GenomeCodec, find_space, read_space

SIZES = {"vocab_size": 100, "pre_norm": True}
SPACE = dataclasses.replace(
    read_space(find_space("tiny")), constraints=(Constraint.parse("encoder.layers + decoder.layers >= 3"),)
)


class Layers:
    """Predicts one millisecond a layer, within a tenth."""

    def predict(self, archs):
        mean_N = np.array([float(len(arch.encoder.layers) + len(arch.decoder.layers)) for arch in archs])
        return Prediction(mean_N=mean_N, lower_N=0.9 * mean_N, upper_N=1.1 * mean_N)


def cost_of(arch, cost: str) -> float:
    return in_budget_units(costs(arch, **SIZES).to_dict())[cost]


@pytest.fixture
def refuse(monkeypatch):
    summary = SimpleNamespace(summary=SimpleNamespace(vocab_size=SIZES["vocab_size"]))
    monkeypatch.setattr(budget_module, "PreparedData", SimpleNamespace(open=lambda _: summary))
    monkeypatch.setattr(budget_module, "space_part", lambda _: SimpleNamespace(space=SPACE))

    def call(**limits: float) -> None:
        model = SimpleNamespace(pre_norm=SIZES["pre_norm"])
        refuse_after_data(SimpleNamespace(model=model), parse_budget(limits), "data")

    return call


@pytest.mark.parametrize("cost", ["params_m", "flops_g", "memory_mb"])
def test_what_some_architecture_keeps_is_not_refused_and_what_none_keeps_is(refuse, cost):
    archs = GenomeCodec(SPACE).decode_all(Census(SPACE).sample(300, np.random.default_rng(0)))
    refuse(**{cost: min(cost_of(arch, cost) for arch in archs)})
    with pytest.raises(ConfigError, match="cannot be met"):
        refuse(**{cost: 0.999 * cost_of(SPACE.floor(), cost)})


def test_the_least_is_that_of_the_floor_even_where_the_space_lacks_it():
    predictor = Layers()
    table = SimpleNamespace(rows=[SimpleNamespace(latency_ms=9.0, low_ms=9.0, high_ms=9.0, digest="")])
    bounds = _bounds(CostModel(SPACE, predictor, **SIZES), predictor, table, seed=1)
    floor = SPACE.floor()
    assert floor not in SPACE
    assert bounds["minima"][LATENCY] == pytest.approx([2.0, 1.8, 2.2])
    for cost in ("params_m", "flops_g", "memory_mb"):
        assert bounds["minima"][cost] == [cost_of(floor, cost)] * 3
    assert bounds["largest"]["params_m"] == cost_of(SPACE.largest(), "params_m")
