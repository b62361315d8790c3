import pytest

from automoe.errors import ConfigError
from automoe.supernet import SupernetConfig


@pytest.mark.parametrize(
    ("key", "value"),
    [
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
