import pytest

from automoe.errors import ConfigError
from automoe.search import ArchitectureSearchConfig, SelectConfig


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (ArchitectureSearchConfig, "search.evaluations", 0),
        (ArchitectureSearchConfig, "search.screen", 0),
        (ArchitectureSearchConfig, "search.searcher", "evolve"),
        (ArchitectureSearchConfig, "search.objectives", ()),
        (ArchitectureSearchConfig, "search.objectives", ("latency",)),
        (ArchitectureSearchConfig, "search.objectives", ("flops_g", "flops_g")),
        (ArchitectureSearchConfig, "search.options", [1]),
        (SelectConfig, "select.near", -1),
        (SelectConfig, "select.near_ratio", 1.0),
        (SelectConfig, "select.near_ratio", 0.0),
        (SelectConfig, "select.extra_evaluations", -1),
        (SelectConfig, "select.measure", -1),
        (SelectConfig, "select.refits", -1),
    ],
)
def test_what_is_not_allowed_is_refused_by_its_key(kind, key, value):
    with pytest.raises(ConfigError) as error:
        kind(**{key.split(".")[1]: value})
    assert error.value.key == key


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("population", 0),
        ("population", "many"),
        ("population", True),
        ("population", 2.5),
        ("parents", 1),
        ("mutation", 0.0),
        ("mutation", 1.5),
        ("crossover", -0.1),
        ("crossover", 1.1),
        ("mutaton", 0.1),
    ],
)
def test_what_a_searcher_does_not_take_is_refused_by_its_key(option, value):
    with pytest.raises(ConfigError) as error:
        ArchitectureSearchConfig(options={option: value})
    assert error.value.key == f"search.options.{option}"
    assert str(error.value).startswith(f"search.options.{option}={value}")


@pytest.mark.parametrize(
    ("settings", "suggested"),
    [
        ({"objectives": ("latency_m",)}, "latency_ms"),
        ({"searcher": "nsga"}, "nsga2"),
        ({"options": {"mutaton": 0.1}}, "mutation"),
        ({"within": {"flop_g": 1}}, "flops_g"),
    ],
)
def test_a_name_that_is_nearly_right_is_suggested(settings, suggested):
    with pytest.raises(ConfigError, match=f"Did you mean '{suggested}'"):
        ArchitectureSearchConfig(**settings)
