from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from automoe.errors import AutoMoEError, ConfigError
from automoe.search import ArchitectureSearchConfig, SelectConfig, searcher
from automoe.search.searcher import check_objectives_of, options_of


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
        (SelectConfig, "select.latency_margin", 0.9),
        (SelectConfig, "select.latency_margin", float("inf")),
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


@dataclass(frozen=True, kw_only=True)
class OtherOptions:
    sizes: tuple[int, ...] = field(default_factory=tuple)
    names: list[str] = field(default_factory=list)
    share: float = 0.5


class Other:
    """A searcher of another package, as far as its options go."""

    Options = OtherOptions


class Point(EntryPoint):
    """An entry point of a package that is named."""

    @property
    def dist(self):
        return SimpleNamespace(name="their-package")


@pytest.fixture
def registered(monkeypatch):
    """Registers a searcher of another package."""

    def register(value):
        point = Point("other", value, searcher.ENTRY_POINT_GROUP)
        monkeypatch.setattr(searcher, "entry_points", lambda group: [point])

    return register


def test_options_without_a_plain_default_can_be_set(registered):
    registered(f"{__name__}:Other")
    assert options_of("other", {"sizes": [1, 2], "names": ["a"], "share": 1}) == OtherOptions(
        sizes=(1, 2), names=["a"], share=1
    )
    for wrong in ({"sizes": 3}, {"names": "a"}, {"share": True}):
        with pytest.raises(ConfigError, match="is of the wrong type"):
            options_of("other", wrong)


@pytest.mark.parametrize("value", ["no_such_module_of_theirs:X", f"{__name__}:NoSuchClass"])
def test_a_searcher_that_cannot_be_loaded_is_blamed_on_its_package(registered, value):
    registered(value)
    with pytest.raises(
        AutoMoEError, match=f"search.searcher=other: the package 'their-package' .*'{value}'"
    ) as error:
        options_of("other", {})
    assert "Error: " in str(error.value) and error.value.__cause__ is not None


def test_a_searcher_refuses_objectives_before_there_is_a_problem():
    settings = options_of("optuna", {"sampler": "cmaes"})
    check_objectives_of("optuna", settings, ["loss"])
    with pytest.raises(ConfigError, match="too many for CMA-ES") as error:
        check_objectives_of("optuna", settings, ["loss", "flops_g"])
    assert error.value.key == "search.objectives"
    check_objectives_of("evolution", options_of("evolution", {}), ["loss", "flops_g"])


def test_the_mistakes_of_within_are_named_by_its_keys():
    with pytest.raises(ConfigError) as error:
        ArchitectureSearchConfig(within={"flops_g": -1})
    assert error.value.key == "search.within.flops_g"
