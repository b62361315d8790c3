import pytest

from automoe.errors import ConfigError
from automoe.search import EvolutionConfig, SelectConfig


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (EvolutionConfig, "search.evaluations", 0),
        (EvolutionConfig, "search.population", 0),
        (EvolutionConfig, "search.parents", 1),
        (EvolutionConfig, "search.mutation", 0.0),
        (EvolutionConfig, "search.mutation", 1.5),
        (EvolutionConfig, "search.crossover", -0.1),
        (EvolutionConfig, "search.crossover", 1.1),
        (EvolutionConfig, "search.costs", ()),
        (EvolutionConfig, "search.costs", ("latency",)),
        (EvolutionConfig, "search.costs", ("flops_g", "flops_g")),
        (SelectConfig, "select.near", -1),
        (SelectConfig, "select.near_ratio", 1.0),
        (SelectConfig, "select.near_ratio", 0.0),
        (SelectConfig, "select.extra_evaluations", -1),
        (SelectConfig, "select.measure", -1),
    ],
)
def test_what_is_not_allowed_is_refused_by_its_key(kind, key, value):
    with pytest.raises(ConfigError) as error:
        kind(**{key.split(".")[1]: value})
    assert error.value.key == key


def test_a_cost_that_is_nearly_right_is_suggested():
    with pytest.raises(ConfigError, match="Did you mean 'latency_ms'"):
        EvolutionConfig(costs=("latency_m",))
