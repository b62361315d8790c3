import pytest

from automoe.errors import ConfigError
from automoe.search.searcher import options_of

REFUSED = [
    ("random", "batch", 0),
    ("random", "uniform", 1),
    ("regularised", "population", 0),
    ("regularised", "sample", 0),
    ("regularised", "batch", -1),
    ("automoe", "parents", 0),
    ("automoe", "mutants", -1),
    ("automoe", "crossovers", -1),
    ("automoe", "mutation", 0.0),
    ("automoe", "mutation", 1.5),
    ("nsga2", "population", 1),
    ("nsga2", "crossover", 1.5),
    ("nsga2", "mutation", 0.0),
    ("nsga2", "mutation", "half"),
    ("nsga2", "mutation", True),
    ("local", "starts", 0),
    ("local", "batch", 0),
]


@pytest.mark.parametrize(("name", "key", "value"), REFUSED)
def test_a_setting_that_makes_no_sense_is_refused_by_its_key(name, key, value):
    with pytest.raises(ConfigError) as error:
        options_of(name, {key: value})
    assert error.value.key == f"search.options.{key}"
    assert error.value.allowed


def test_a_generation_without_children_is_refused():
    with pytest.raises(ConfigError, match="leaves no children"):
        options_of("automoe", {"mutants": 0, "crossovers": 0})
