import pytest

from automoe.errors import ConfigError
from automoe.supernet import SupernetConfig


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rule", "double_path"),
        ("placements", "last"),
        ("random", -1),
        ("panel", -1),
        ("distillation", 1.5),
        ("distillation", -0.1),
        ("distillation", float("nan")),
        ("temperature", 0.0),
        ("temperature", float("inf")),
        ("temperature", float("nan")),
    ],
)
def test_impossible_values_are_refused_by_name(key, value):
    with pytest.raises(ConfigError, match=rf"supernet\.{key}="):
        SupernetConfig(**{key: value})


@pytest.mark.parametrize(
    ("key", "value", "only"), [("random", 2, "1"), ("random", 0, "1"), ("distillation", 0.2, "0")]
)
def test_settings_that_a_single_path_has_no_use_for_are_refused(key, value, only):
    settings = {"random": 1, "distillation": 0.0} | {key: value}
    with pytest.raises(ConfigError, match=rf"supernet\.{key}=.*{only}.*supernet=single_path"):
        SupernetConfig(rule="single_path", **settings)
